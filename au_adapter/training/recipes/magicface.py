"""MagicFace's recipe: both UNets, the AU encoder and the Attribute Controller learn together.

Settings are the paper's (section IV-A). Both UNets start from the base, the new input channels from
zero. Options: the AU encoders of Table III; the paper's Attribute Controller in the place of the
released one; and in the ID encoder's place the alternatives of Table II, identity="conv", "clip"
(with clip=FOLDER, a CLIP as transformers saves it), "controlnet" and "controlnet_all". The loss
weighs face parts and timesteps, for a base as small as the demo's; plain_loss=True is the paper's.
Such a base also takes a learning rate of 4e-4. `sampling.draw_edits` draws with every result.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import CLIPTokenizer

from ...models.magicface import CONTROLLERS, IDENTITY, PROMPT, MagicFace, widened
from ...models.magicface_ablations import ABLATIONS, IDENTITIES, Ablation, CLIPIdentity
from ...weights.autoencoder import load_autoencoder
from ...weights.clip import ImageEncoder, load_image_encoder
from ...weights.magicface import load_magicface, save_networks
from ..diffusion import min_snr_weights, noise_loss, stable_diffusion_schedule
from ..faces import load_faces
from ..labelled import tokenize
from ..pairs import FacePairs
from ..recipes.base import MIN_SNR_GAMMA, load_unet, make_text_encoder
from ..settings import Settings

SETTINGS = Settings(steps=100_000, batch_size=8, learning_rate=1e-5)


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
        identity: str = IDENTITY,
        clip: str | None = None,
        unchanged: float = 0.05,
        plain_loss: bool = False,
        start: str | None = None,
    ):
        """clip: the folder of the image encoder for identity="clip". start: a trained file to go on
        from, whose options hold."""
        folder = Path(base)
        trained = load_magicface(start) if start else None
        encoder = _image_encoder(trained.options["identity"] if trained else identity, clip)
        options = {"au_encoder": au_encoder, "controller": controller}
        network = trained or _start(folder, identity, options, encoder)
        self.module = MagicFaceLoss(network.train(), encode_prompt(folder), plain_loss)
        self.pairs = FacePairs(
            load_faces(data),
            load_autoencoder(folder),
            data[0] / "cache",
            CONTROLLERS[network.options["controller"]].scale,
            unchanged,
            encoder,
        )

    def batch(self, size: int, generator: torch.Generator) -> dict[str, Tensor]:
        return self.pairs.draw(size, generator)

    def save(self, module: MagicFaceLoss, folder: Path) -> None:
        save_networks(module.network, folder / "magicface.safetensors")


def _image_encoder(identity: str, clip: str | None) -> ImageEncoder | None:
    """CLIP for the identity that looks through it; ValueError where it is missing, or not used."""
    if bool(clip) == (identity == CLIPIdentity.identity):
        return load_image_encoder(clip) if clip else None
    if clip:
        raise ValueError(f"identity={identity} looks at no CLIP: leave clip out")
    raise ValueError(
        "identity=clip needs a folder: --set clip=FOLDER, a CLIP as transformers saves it"
    )


def _start(
    base: Path, identity: str, options: dict[str, str], encoder: ImageEncoder | None
) -> MagicFace | Ablation:
    """All UNets as copies of the base's."""
    if identity not in IDENTITIES:
        raise ValueError(f"identity {identity!r} is not known: choose {', '.join(IDENTITIES)}")
    unet = load_unet(base)
    if identity == IDENTITY:
        return MagicFace(widened(unet, options["au_encoder"]), unet, **options)
    clip = {"clip": encoder.name, "clip_width": encoder.width} if encoder else {}
    return ABLATIONS[identity].begin(unet, **options, **clip)


def encode_prompt(base: Path, text: str = PROMPT) -> Tensor:
    """What a base's text encoder makes of a text [1, 77, width]."""
    tokenizer = CLIPTokenizer.from_pretrained(base / "tokenizer")
    encoder = make_text_encoder(tokenizer).eval()
    encoder.load_state_dict(load_file(base / "text_encoder.safetensors"))
    with torch.no_grad():
        return encoder(tokenize(tokenizer, [text])).last_hidden_state
