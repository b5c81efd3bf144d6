"""The bundled model's autoencoder, trained on rendered faces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from ...data.rendered import load
from ...models.autoencoder import AutoencoderConfig, DemoAutoencoder
from ...models.patch_critic import PatchCritic, adversarial_loss
from ...weights.autoencoder_files import load_autoencoder, save_autoencoder
from ..face_tensors import part_weights, to_unit_range
from ..settings import BUNDLED, check_options

# Of the latent's deviation: the decoder must bear what the UNet gets slightly wrong.
LATENT_NOISE = 0.05
LATENT_PENALTY = 1e-4
EDGE_WEIGHT = 2.0  # edges carry lids and lip lines, which a squared error hardly notices
PART_WEIGHT = 8.0
PROBE = 0.3  # noise by which `latent_spread` finds what a channel matters, in its deviation
HALVED_WEIGHT = 0.25
CHANNELS_OF_NOISE = 4  # of Stable Diffusion's latents


class AutoencoderLoss(nn.Module):
    """Absolute error of pixels and of edges, weighted by face part, through a noisy latent.

    Latents of half the size must give pictures of half the size, too: what they say in fine cells
    stays close to what the picture says there, which a UNet learns more easily (Skorokhodov et al.
    2025, "Improving the diffusability of autoencoders"). adversarial: weight of a critic of patches
    beside it, for texture that the latents do not say.
    """

    def __init__(self, autoencoder: DemoAutoencoder, adversarial: float = 0.0):
        super().__init__()
        self.autoencoder, self.adversarial = autoencoder, adversarial
        self.critic = PatchCritic() if adversarial else None

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        pictures, weights = batch["pictures"], batch["weights"]
        raw = self.autoencoder.encode_raw(pictures)
        noise = LATENT_NOISE * raw.detach().std() * batch["noise"]
        decoded = self.autoencoder.decode_raw(raw + noise).float()
        error = decoded - pictures
        across = (weights[..., 1:] * error.diff(dim=-1).abs()).mean()
        down = (weights[..., 1:, :] * error.diff(dim=-2).abs()).mean()
        small = self.autoencoder.decode_raw(avg_pool2d(raw, 2)).float()
        loss = (
            (weights * error.abs()).mean()
            + EDGE_WEIGHT * (across + down)
            + HALVED_WEIGHT * (small - avg_pool2d(pictures, 2)).abs().mean()
            + LATENT_PENALTY * (raw.float() ** 2).mean()
        )
        if self.critic is not None:
            loss = loss + adversarial_loss(self.critic, pictures, decoded, self.adversarial)
        return loss


@dataclass(frozen=True)
class AutoencoderOptions:
    """Options of the autoencoder.

    start: a folder with vae.safetensors, whose shapes hold, of which only the decoder learns on:
    latents stay as they are, so a UNet trained on them fits. latent_channels: numbers of a cell.
    decoder: channels of its stages, see `AutoencoderConfig`. adversarial: see `AutoencoderLoss`.
    """

    start: str | Path | None = None
    latent_channels: int = 4
    decoder: Sequence[int] = AutoencoderConfig.decoder
    adversarial: float = 0.0

    def __post_init__(self) -> None:
        check_options(self, latent_channels=1)
        object.__setattr__(self, "decoder", tuple(self.decoder))


class AutoencoderRecipe:
    """Reads pictures from one or more folders of renders."""

    Options = AutoencoderOptions
    settings = replace(
        BUNDLED,
        steps=6000,
        batch_size=16,
        learning_rate=1e-3,
        weight_decay=0.0,
        warmup_steps=100,
        average_decay=0.99,
    )

    def __init__(self, data: list[Path], options: AutoencoderOptions):
        channels = options.latent_channels
        self.config = AutoencoderConfig(decoder=options.decoder, latent_channels=channels)
        sets = [load(folder) for folder in data]
        self.images = torch.from_numpy(np.concatenate([faces.images for faces in sets]))
        self.boxes = np.concatenate([faces.boxes for faces in sets])
        self.latents_are_fixed = bool(options.start)
        if options.start:
            autoencoder = load_autoencoder(options.start)
            for part in (autoencoder.decoder, autoencoder.patches_out):
                part.requires_grad_(True)
        else:
            autoencoder = DemoAutoencoder(self.config)
            every = max(1, len(self.images) // 256)
            autoencoder.start_from_principal_components(to_unit_range(self.images[::every]))
        self.module = AutoencoderLoss(autoencoder, options.adversarial)

    def batch(self, size: int, generator: torch.Generator) -> dict[str, Tensor]:
        rows = torch.randint(len(self.images), (size,), generator=generator)
        pictures = to_unit_range(self.images[rows])
        side = pictures.shape[-1]
        weights = part_weights(self.boxes[rows.numpy()], side, side, PART_WEIGHT)
        # Labels are not used, so mirrored faces are more faces.
        if torch.rand((), generator=generator) < 0.5:
            pictures, weights = pictures.flip(-1), weights.flip(-1)
        channels = self.module.autoencoder.config.latent_channels
        noise = torch.randn(size, channels, side // 8, side // 8, generator=generator)
        return {"pictures": pictures, "weights": weights, "noise": noise}

    @torch.no_grad()
    def save(self, module: AutoencoderLoss, folder: Path) -> None:
        autoencoder = module.autoencoder
        if not self.latents_are_fixed:
            device = autoencoder.latent_mean.device
            parts = (to_unit_range(part).to(device) for part in self.images[:1024].split(64))
            raw = torch.cat([autoencoder.encode_raw(p) for p in parts])
            autoencoder.set_latent_statistics(raw, latent_spread(autoencoder, raw[:16]))
        save_autoencoder(autoencoder, folder)


@torch.no_grad()
def latent_spread(autoencoder: DemoAutoencoder, raw: Tensor) -> Tensor:
    """The deviations [C] that latents come out with: more for channels that matter more to the
    picture, by the root of what a share of noise in them changes there.

    A UNet then settles colours and shapes first and details last, as it does with pixels. With
    equal deviations noise would hide all of them at once. All channels together are as strong as
    the 4 that Stable Diffusion's noise was made for: through more of them colours would show under
    the most noise there is, and the UNet would not learn to take them from the prompt.
    """
    noise = torch.randn(raw[:, 0].shape, generator=torch.Generator().manual_seed(0)).to(raw)
    pictures, deviations = autoencoder.decode_raw(raw), raw.std((0, 2, 3))
    effects = []
    for channel, deviation in enumerate(deviations):
        changed = raw.clone()
        changed[:, channel] += PROBE * deviation * noise
        effects.append((autoencoder.decode_raw(changed) - pictures).square().mean().sqrt())
    effect = torch.stack(effects)
    return (effect / effect.mean() * CHANNELS_OF_NOISE / len(effect)).sqrt()
