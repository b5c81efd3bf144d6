"""MagicFace: both UNets, the AU encoder and the Attribute Controller learn together.

Settings are the paper's (section IV-A); a base as small as the bundled one takes a learning rate of
4e-4. Both UNets start from the base, the new input channels from zero. `methods.magicface_editor`
draws with every result.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from diffusers import DiffusionPipeline
from torch import Tensor, nn

from ...bases import BaseFamily, find_family, load_base
from ...data.rendered import is_rendered
from ...models import magicface
from ...models.magicface import MagicFace
from ...models.magicface_ablations import ABLATIONS, IDENTITIES, Ablation, CLIPIdentity
from ...weights.clip_vision import ImageEncoder, load_image_encoder
from ...weights.magicface_files import load_magicface, save_networks
from ..diffusion import denoising_loss
from ..pairs import DROPOUT, FacePairs, PictureEncoder
from ..photo_edits import PhotoEdits
from ..settings import Settings, check_options


@dataclass(frozen=True)
class MagicFaceOptions:
    """Options of MagicFace.

    base: the folder of the bundled model or of one that is trained like it, or Stable Diffusion
        1.5, as a diffusers folder or a checkpoint in one file. tokenizer: for such a file, see
        `bases.load_base`.
    au_encoder: of Table III. controller: "released", or the paper's Attribute Controller.
    identity: the ID encoder, or an alternative of Table II: "conv", "clip", "controlnet",
        "controlnet_all". clip: for "clip", the folder of a CLIP as transformers saves it.
    unchanged: share of the pairs that are a picture with itself, 0..1.
    dropout: share of the changes that are dropped, 0..1; 0 is the paper's "without AU dropout".
    frame_distance: least distance of a pair's pictures in frames of their video.
    plain_loss: the paper's loss, or one that weighs face parts and timesteps; None: what the base's
        family takes.
    start: a trained file to continue from, whose encoder, controller and identity hold.
    """

    base: str | Path
    tokenizer: str | Path | None = None
    au_encoder: str = "linear_time"
    controller: str = "released"
    identity: str = magicface.IDENTITY
    clip: str | Path | None = None
    unchanged: float = 0.05
    dropout: float = DROPOUT
    frame_distance: int = 0
    plain_loss: bool | None = None
    start: str | Path | None = None

    def __post_init__(self) -> None:
        check_options(self, unchanged=(0, 1), dropout=(0, 1))


class MagicFaceLoss(nn.Module):
    """Noise error of the denoising UNet, which sees the photo through the ID encoder; Eq. 3."""

    def __init__(self, network: MagicFace | Ablation, text: Tensor, schedule: Any, plain: bool):
        """text [1, 77, width]: `PROMPT`, the only one there is. plain: the mean squared error
        alone; else weighed by face part and min-SNR."""
        super().__init__()
        self.network, self.schedule, self.plain = network, schedule, plain
        self.register_buffer("text", text)

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        def predict(noisy: Tensor, timesteps: Tensor) -> Tensor:
            text = self.text.expand(len(noisy), -1, -1)
            seen = self.network.identify(batch["photo"], text), batch["background"]
            return self.network(noisy, timesteps, text, *seen, batch["change"])

        return denoising_loss(self.schedule, batch["latents"], batch, predict, self.plain)


class MagicFaceRecipe:
    """Trains MagicFace on pairs of one person, from renders or from faces cut out of photos."""

    Options = MagicFaceOptions
    settings = Settings(steps=100_000, batch_size=8, learning_rate=1e-5)
    cuts_faces = True  # folders of pictures with a table are prepared as faces that are cut out
    units, scale = magicface.MAGICFACE_UNITS, "change"

    def __init__(self, data: list[Path], options: MagicFaceOptions):
        self.base = Path(options.base)
        family = find_family(self.base)
        _check(family, self.base, data)
        trained = load_magicface(options.start) if options.start else None
        identity = trained.options["identity"] if trained else options.identity
        encoder = _image_encoder(identity, options.clip)
        pipeline = load_base(self.base, options.tokenizer)
        self.vae = pipeline.vae
        network = trained or _start(pipeline.unet, options, encoder)
        ours, base = (u.config.cross_attention_dim for u in (network.unet, pipeline.unet))
        if ours != base:
            raise ValueError(
                f"{options.start} reads text of width {ours} and {options.base} encodes it to "
                f"{base}: start from a MagicFace of this base"
            )
        plain = family.plain_loss if options.plain_loss is None else options.plain_loss
        schedule, text = family.training_schedule(pipeline), encode_prompt(family, pipeline)
        self.module = MagicFaceLoss(network.train(), text, schedule, plain)
        pictures = picture_encoder(family, pipeline, network, encoder)
        with PartialState().main_process_first():  # one encodes, the others read what it kept
            self.pairs = FacePairs(
                data,
                pictures,
                self.vae.config.scaling_factor,
                unchanged=options.unchanged,
                dropout=options.dropout,
                frame_distance=options.frame_distance,
            )

    def batch(self, size: int, generator: torch.Generator) -> dict[str, Tensor]:
        return self.pairs.draw(size, generator)

    @property
    def prompts(self) -> list[str]:
        """What validation edits, see `PhotoEdits`."""
        return self.generator(self.module).photos()

    def generator(self, module: MagicFaceLoss) -> PhotoEdits:
        return PhotoEdits(module.network, module.text, self.vae, self.pairs)

    def save(self, module: MagicFaceLoss, folder: Path) -> None:
        save_networks(module.network, folder / "magicface.safetensors")


@torch.no_grad()
def encode_prompt(family: BaseFamily, pipeline: DiffusionPipeline) -> Tensor:
    """What a base's text encoder makes of MagicFace's text [1, 77, width]."""
    return family.encode_text(pipeline, family.tokenize(pipeline, [magicface.PROMPT])).states


def picture_encoder(
    family: BaseFamily,
    pipeline: DiffusionPipeline,
    network: MagicFace | Ablation,
    image_encoder: ImageEncoder | None = None,
) -> PictureEncoder:
    """How a base's autoencoder encodes the pictures of pairs for a network: by its means, on the
    GPU where there is one; latents of a large base are kept in 16 bits."""
    device, vae = PartialState().device, pipeline.vae

    def encode(pictures: Tensor) -> Tensor:
        latents = family.encode_pictures(vae.to(device), pictures.to(device), torch.zeros(()))
        return latents.cpu() / vae.config.scaling_factor

    return PictureEncoder(
        encode,
        vae,
        family.picture_size(pipeline),
        magicface.CONTROLLERS[network.options["controller"]].scale,
        torch.float32 if family.holds_latents else torch.float16,
        image_encoder,
    )


def _check(family: BaseFamily, base: Path, data: list[Path]) -> None:
    """ValueError for a base that MagicFace is not for, and for faces that were not cut out."""
    if not family.magicface:
        raise ValueError(
            f"{base} is {family.title}: MagicFace trains on Stable Diffusion 1.5, or on the "
            "bundled model, au_adapter/bundled, or one that is trained like it"
        )
    for folder in data:
        if not is_rendered(folder):
            raise ValueError(
                f"{folder} holds whole pictures, and MagicFace trains on faces that are cut out, "
                "with a mask and a jaw line: make them by `au-adapter prepare ... --faces`"
            )


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
    unet: nn.Module, options: MagicFaceOptions, encoder: ImageEncoder | None
) -> MagicFace | Ablation:
    """All UNets as copies of the base's, which becomes one of them."""
    if options.identity not in IDENTITIES:
        known = ", ".join(IDENTITIES)
        raise ValueError(f"identity {options.identity!r} is not known: choose {known}")
    unet.requires_grad_(True)
    kinds = {"au_encoder": options.au_encoder, "controller": options.controller}
    if options.identity == magicface.IDENTITY:
        return MagicFace(magicface.widen_unet(unet, options.au_encoder), unet, **kinds)
    clip = {"clip": encoder.name, "clip_width": encoder.width} if encoder else {}
    return ABLATIONS[options.identity].begin(unet, **kinds, **clip)
