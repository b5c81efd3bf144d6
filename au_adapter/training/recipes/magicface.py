"""MagicFace's recipe: both UNets, the AU encoder and the Attribute Controller learn together.

Settings are the paper's (section IV-A). Both UNets start from the base, the new input channels from
zero. Options: the AU encoders of Table III, and the paper's Attribute Controller in the place of
the released one. The loss weighs face parts and timesteps, for a base as small as the demo's;
plain_loss=True is the paper's. Such a base also takes a learning rate of 4e-4.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import CLIPTokenizer

from ...models.magicface import CONTROLLERS, PROMPT, MagicFace, widened
from ...weights.autoencoder import load_autoencoder
from ...weights.magicface import load_magicface, save_networks
from ..diffusion import min_snr_weights, noise_loss, stable_diffusion_schedule
from ..faces import load_faces
from ..loop import Settings
from ..pairs import FacePairs
from ..recipes.base import MIN_SNR_GAMMA, make_text_encoder, make_unet, tokenize

SETTINGS = Settings(steps=100_000, batch_size=8, learning_rate=1e-5)


class MagicFaceLoss(nn.Module):
    """Noise error of the denoising UNet, which sees the photo through the ID encoder; Eq. 3."""

    def __init__(self, network: MagicFace, text: Tensor, plain: bool):
        """plain: the mean squared error alone; else weighed by face part and min-SNR."""
        super().__init__()
        self.network, self.schedule, self.plain = network, stable_diffusion_schedule(), plain
        self.register_buffer("text", text)  # [1, 77, width], the only text there is

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        noisy = self.schedule.add_noise(batch["latents"], batch["noise"], batch["timesteps"])
        text = self.text.expand(len(noisy), -1, -1)
        identity = self.network.identify(batch["photo"], text)
        predicted = self.network(
            noisy, batch["timesteps"], text, identity, batch["background"], batch["change"]
        )
        return noise_loss(predicted, batch["noise"], None if self.plain else self._weights(batch))

    def _weights(self, batch: dict[str, Tensor]) -> Tensor:
        snr = min_snr_weights(self.schedule, batch["timesteps"], MIN_SNR_GAMMA)
        return batch["weights"] * snr.reshape(-1, 1, 1, 1)


class MagicFaceRecipe:
    """Trains MagicFace on pairs of one person, from folders of renders."""

    def __init__(
        self,
        data: list[Path],
        base: str,
        au_encoder: str = "linear_time",
        controller: str = "released",
        unchanged: float = 0.05,
        plain_loss: bool = False,
        start: str | None = None,
    ):
        folder = Path(base)
        network = load_magicface(start) if start else _start(folder, au_encoder, controller)
        self.module = MagicFaceLoss(network.train(), _encode(folder, PROMPT), plain_loss)
        self.pairs = FacePairs(
            load_faces(data),
            load_autoencoder(folder),
            data[0] / "cache",
            CONTROLLERS[network.options["controller"]].scale,
            unchanged,
        )

    def batch(self, size: int, generator: torch.Generator) -> dict[str, Tensor]:
        return self.pairs.draw(size, generator)

    def save(self, module: MagicFaceLoss, folder: Path) -> None:
        save_networks(module.network, folder / "magicface.safetensors")


def _start(base: Path, au_encoder: str, controller: str) -> MagicFace:
    """Both UNets as copies of the base's."""
    unet = make_unet()
    unet.load_state_dict(load_file(base / "unet.safetensors"))
    return MagicFace(widened(unet, au_encoder), unet, au_encoder, controller)


def _encode(base: Path, text: str) -> Tensor:
    tokenizer = CLIPTokenizer.from_pretrained(base / "tokenizer")
    encoder = make_text_encoder(tokenizer).eval()
    encoder.load_state_dict(load_file(base / "text_encoder.safetensors"))
    with torch.no_grad():
        return encoder(tokenize(tokenizer, [text])).last_hidden_state
