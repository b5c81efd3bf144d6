"""MagicFace: both UNets, the AU encoder and the Attribute Controller learn together.

Settings are the paper's (section IV-A); a base as small as the bundled one takes a learning rate of
4e-4. Both UNets start from the base, the new input channels from zero. `methods.magicface_editor`
draws with every result.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ...bases import find_family
from ...bases.family import pad_and_tokenize
from ...bundled.pipeline import load_text_encoder, load_unet
from ...data.rendered import load
from ...models.magicface import CONTROLLERS, IDENTITY, PROMPT, MagicFace, widened
from ...models.magicface_ablations import ABLATIONS, IDENTITIES, Ablation, CLIPIdentity
from ...weights.autoencoder_files import load_autoencoder
from ...weights.clip_vision import ImageEncoder, load_image_encoder
from ...weights.magicface_files import load_magicface, save_networks
from ..diffusion import loss_weights, noise_loss, stable_diffusion_schedule
from ..pairs import FacePairs
from ..settings import Settings, require_number, require_switch


@dataclass(frozen=True)
class MagicFaceOptions:
    """Options of MagicFace.

    base: the folder of the bundled model or of one that is trained like it.
    au_encoder: of Table III. controller: "released", or the paper's Attribute Controller.
    identity: the ID encoder, or an alternative of Table II: "conv", "clip", "controlnet",
        "controlnet_all". clip: for "clip", the folder of a CLIP as transformers saves it.
    unchanged: share of the pairs that are a picture with itself, 0..1.
    plain_loss: the paper's loss; by default it weighs face parts and timesteps, for a small base.
    start: a trained file to continue from, whose encoder, controller and identity hold.
    """

    base: str | Path
    au_encoder: str = "linear_time"
    controller: str = "released"
    identity: str = IDENTITY
    clip: str | Path | None = None
    unchanged: float = 0.05
    plain_loss: bool = False
    start: str | Path | None = None

    def __post_init__(self) -> None:
        require_number("unchanged", self.unchanged, 0, 1, fraction=True)
        require_switch("plain_loss", self.plain_loss)


class MagicFaceLoss(nn.Module):
    """Noise error of the denoising UNet, which sees the photo through the ID encoder; Eq. 3."""

    def __init__(self, network: MagicFace | Ablation, text: Tensor, plain: bool):
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
        weights = None if self.plain else loss_weights(self.schedule, batch)
        return noise_loss(predicted, batch["noise"], weights)


class MagicFaceRecipe:
    """Trains MagicFace on pairs of one person, from folders of renders."""

    Options = MagicFaceOptions
    settings = Settings(steps=100_000, batch_size=8, learning_rate=1e-5)

    def __init__(self, data: list[Path], options: MagicFaceOptions):
        folder = Path(options.base)
        if not find_family(folder).holds_latents:
            raise ValueError(
                f"{folder} is no base of renders: MagicFace trains on the bundled model, "
                "au_adapter/bundled, or one that is trained like it"
            )
        trained = load_magicface(options.start) if options.start else None
        identity = trained.options["identity"] if trained else options.identity
        encoder = _image_encoder(identity, options.clip)
        network = trained or _start(folder, options, encoder)
        self.module = MagicFaceLoss(network.train(), encode_prompt(folder), options.plain_loss)
        self.pairs = FacePairs(
            [load(folder) for folder in data],
            load_autoencoder(folder),
            data[0] / "cache",
            CONTROLLERS[network.options["controller"]].scale,
            options.unchanged,
            encoder,
        )

    def batch(self, size: int, generator: torch.Generator) -> dict[str, Tensor]:
        return self.pairs.draw(size, generator)

    def save(self, module: MagicFaceLoss, folder: Path) -> None:
        save_networks(module.network, folder / "magicface.safetensors")


@torch.no_grad()
def encode_prompt(base: Path) -> Tensor:
    """What a base's text encoder makes of MagicFace's text [1, 77, width]."""
    text, tokenizer = load_text_encoder(base)
    return text(pad_and_tokenize(tokenizer, [PROMPT])).last_hidden_state


def _image_encoder(identity: str, clip: str | Path | None) -> ImageEncoder | None:
    """CLIP for the identity that looks through it; ValueError where it is missing, or not used."""
    if bool(clip) == (identity == CLIPIdentity.identity):
        return load_image_encoder(clip) if clip else None
    if clip:
        raise ValueError(f"identity={identity} looks at no CLIP: leave clip out")
    raise ValueError(
        "identity=clip needs a folder: --set clip=FOLDER, a CLIP as transformers saves it"
    )


def _start(
    base: Path, options: MagicFaceOptions, encoder: ImageEncoder | None
) -> MagicFace | Ablation:
    """All UNets as copies of the base's."""
    if options.identity not in IDENTITIES:
        known = ", ".join(IDENTITIES)
        raise ValueError(f"identity {options.identity!r} is not known: choose {known}")
    unet = load_unet(base)
    kinds = {"au_encoder": options.au_encoder, "controller": options.controller}
    if options.identity == IDENTITY:
        return MagicFace(widened(unet, options.au_encoder), unet, **kinds)
    clip = {"clip": encoder.name, "clip_width": encoder.width} if encoder else {}
    return ABLATIONS[options.identity].begin(unet, **kinds, **clip)
