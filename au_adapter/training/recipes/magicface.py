"""MagicFace's recipe: both UNets, the AU encoder and the Attribute Controller learn together.

Settings are the paper's (section IV-A). Both UNets start from the base, the new input channels from
zero. Options: the AU encoders of Table III, and the paper's Attribute Controller in the place of
the released one. On a base as small as the demo model a learning rate of 1e-4 suits better.
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
from ..diffusion import noise_loss, stable_diffusion_schedule
from ..faces import load_faces
from ..loop import Settings
from ..pairs import FacePairs
from ..recipes.base import make_text_encoder, make_unet, tokenize

SETTINGS = Settings(steps=100_000, batch_size=8, learning_rate=1e-5)


class MagicFaceLoss(nn.Module):
    """Noise error of the denoising UNet, which sees the photo through the ID encoder; Eq. 3."""

    def __init__(self, network: MagicFace, text: Tensor):
        super().__init__()
        self.network, self.schedule = network, stable_diffusion_schedule()
        self.register_buffer("text", text)  # [1, 77, width], the only text there is

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        noisy = self.schedule.add_noise(batch["latents"], batch["noise"], batch["timesteps"])
        text = self.text.expand(len(noisy), -1, -1)
        identity = self.network.identify(batch["photo"], text)
        predicted = self.network(
            noisy, batch["timesteps"], text, identity, batch["background"], batch["change"]
        )
        return noise_loss(predicted, batch["noise"])


class MagicFaceRecipe:
    """Trains MagicFace on pairs of one person, from folders of renders."""

    def __init__(
        self,
        data: list[Path],
        base: str,
        au_encoder: str = "linear_time",
        controller: str = "released",
        unchanged: float = 0.05,
        start: str | None = None,
    ):
        folder = Path(base)
        network = load_magicface(start) if start else _start(folder, au_encoder, controller)
        self.module = MagicFaceLoss(network.train(), _encode(folder, PROMPT))
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
