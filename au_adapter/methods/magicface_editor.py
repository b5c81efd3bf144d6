"""MagicFace on photos of any size: find the face, cut it out, edit it, paste it back.

    editor = open_editor("magicface")  # the bundled model
    editor = open_editor("magicface", model="stable-diffusion-v1-5", magicface="magicface")
    opened = editor.open(read_picture("photo.jpg"))
    smiling = opened.edit(AUVector.parse("6B+12D"), seed=1)

The same as the nodes Prepare MagicFace, Apply MagicFace and Paste Face, up to the sampler.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from diffusers import DDIMScheduler
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from ..bases import family_of
from ..bundled import MAGICFACE, magicface_folder
from ..faces import FACE_LANDMARKER, PERSON_SEGMENTER, FaceLandmarker, FaceParser, PersonSegmenter
from ..faces.choose import choose_face
from ..faces.jaw_background import RULES, prepare_faces
from ..faces.locate import locate
from ..faces.squares import FaceCrop, paste_square
from ..facs import AUVector
from ..models import magicface
from ..models.attention_maps import AttentionMaps, watched
from ..models.noise_schedule import NOISE_SCHEDULE
from ..weights.magicface_files import find_unets, load_magicface, magicface_hash
from .base_generator import named, open_pipeline
from .method import OnStep, settings_of
from .sampling import Held, decode, encode, encode_prompts, latents_of, noise_like, sample, seeded

LEVELS = 3  # faces down to about a twentieth of the photo's longer side
# From the last timestep to no noise at all, as ComfyUI's "euler" with "simple" samples.
TO_THE_END = {**NOISE_SCHEDULE, "timestep_spacing": "trailing", "set_alpha_to_one": True}
FEATHER = 4.0  # width of the soft edge, in % of the side of the square that is cut out

# Pictures [N, H, W, 3] -> where they become black, [N, H, W].
PersonMask = Callable[[Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class MagicFaceEditor:
    """An Editor that adds a change of AUs to a face, with MagicFace on its base.

    pipeline: the base's VAE and text; network: `models.magicface.MagicFace`, both on one device.
    weights: what names the network. landmarker: finds faces. person: what becomes black in the
    background; None: the mesh's outline of the face. mask_rule: its name among RULES. steps: of
    DDIM. guidance: Eq. 4's scale. feather: width of the soft edge in % of the square's side. batch:
    edits drawn at once. on_step: see `method.OnStep`.
    """

    pipeline: Any
    network: nn.Module
    landmarker: FaceLandmarker
    person: PersonMask | None
    mask_rule: str = RULES[0]
    base: str = "unnamed"
    weights: str = "unnamed"
    steps: int = 20
    guidance: float = magicface.GUIDANCE
    feather: float = FEATHER
    batch: int = 8
    on_step: OnStep | None = None

    name: ClassVar[str] = "MagicFace"
    scale: ClassVar[str] = "change"
    units: ClassVar[tuple[int, ...]] = magicface.MAGICFACE_UNITS
    sides: ClassVar[bool] = False

    def changed(self, **settings: Any) -> MagicFaceEditor:
        """The same method with other settings."""
        return replace(self, **settings)

    def settings(self) -> dict[str, object]:
        """What a reader of its numbers must know."""
        names = ("base", "steps", "guidance", "mask_rule", "feather")
        return {"magicface": self.weights, **{name: getattr(self, name) for name in names}}

    def open(self, photo: Tensor, face: int = 0) -> MagicFacePhoto:
        """Find a face in a photo [1, H, W, 3], the largest first, and look at the person, once."""
        photo = photo[..., :3].float().cpu()
        (found,) = self.landmarker.detect(photo, levels=LEVELS)
        size = family_of(self.pipeline).picture_size(self.pipeline)
        chosen = [(0, choose_face(found, face))]
        crop, square, background = prepare_faces(photo, chosen, size, self.person)
        text = encode_prompts(self.pipeline, [magicface.PROMPT], 1)["encoder_hidden_states"]
        vae = self.pipeline.vae
        latents, behind = (latents_of(encode(vae, picture)) for picture in (square, background))
        with torch.no_grad():
            identity = self.network.identify(latents, text)
        return MagicFacePhoto(self, photo, crop, latents, behind, text, identity)


@dataclass(frozen=True, eq=False)
class MagicFacePhoto:
    """A photo that was opened: where its face is, and what the networks see in it. Latents are
    unscaled."""

    editor: MagicFaceEditor
    photo: Tensor
    crop: FaceCrop
    latents: Tensor
    background: Tensor
    text: Tensor
    identity: Any

    def edit(self, aus: AUVector, seed: int = 0) -> Tensor:
        """The photo [N, H, W, 3] with each of N changes of AUs. Without a change it is the photo
        itself, and every pixel outside the face's mask is the photo's. ValueError for AUs that
        MagicFace does not know, and for sides that differ."""
        changes = magicface.change_of(aus)
        pictures = [self.photo[0]] * len(changes)
        place = self.crop.squares[0], self.crop.masks[0], self.editor.feather / 100
        for rows in changes.any(1).nonzero().flatten().split(self.editor.batch):
            drawn = self._drawn(changes[rows], seed)
            for row, picture in zip(rows.tolist(), drawn, strict=True):
                pictures[row] = paste_square(self.photo[0], picture, *place)
        return torch.stack(pictures)

    def attention(self, aus: AUVector, seed: int = 0) -> AttentionMaps:
        """Where the attentions look while one change of AUs is drawn, in the square around the
        face; see `models.attention_maps`. ValueError for several changes and for none."""
        changes = magicface.change_of(aus)
        if len(changes) != 1 or not changes.any():
            raise ValueError(
                f"attention maps are of one change of AUs, found {len(changes)}, "
                f"{int(changes.any(1).sum())} of which change something"
            )
        with watched(self.editor.network.unet) as maps:
            self._drawn(changes, seed)
        return maps

    @property
    def face(self) -> Tensor:
        """The square around the face [S, S, 3], as the base draws it."""
        vae = self.editor.pipeline.vae
        return decode(vae, self.latents * vae.config.scaling_factor)[0]

    def _drawn(self, changes: Tensor, seed: int) -> Tensor:
        """The cut-out face [N, S, S, 3] with changes [N, 12], all from one noise."""
        editor, vae = self.editor, self.editor.pipeline.vae
        one = noise_like(editor.network.unet, seeded([seed]), self.latents.shape[-1])
        noise = one.expand(len(changes), -1, -1, -1)
        drawn = adaptive_avg_pool2d(self.crop.masks[:, None], self.latents.shape[-2:]).to(noise)
        # Where the face is drawn nothing is held: it starts from noise alone, as published.
        kept = self.latents * (drawn < 1) * vae.config.scaling_factor
        latents = edit_latents(
            editor.network,
            self.text,
            self.latents,
            self.background,
            changes.to(noise),
            noise,
            steps=editor.steps,
            guidance=editor.guidance,
            schedule=DDIMScheduler(**TO_THE_END),
            held=Held(kept, drawn, one),
            identity=self.identity,
            on_step=editor.on_step,
        )
        return decode(vae, latents)


def edit_latents(
    network: nn.Module,
    text: Tensor,
    photo: Tensor,
    background: Tensor,
    changes: Tensor,
    noise: Tensor,
    steps: int = 20,
    guidance: float = magicface.GUIDANCE,
    schedule: DDIMScheduler | None = None,
    held: Held | None = None,
    identity: Any = None,
    on_step: OnStep | None = None,
) -> Tensor:
    """Scaled latents [N, 4, H, W] of one photo with each of the changes of AUs [N, 12].

    network: any of models.magicface_ablations.IDENTITIES. text, photo, background: of one row, as
    its methods take them. noise [N, 4, H, W]: what the sampler starts from. schedule: by default
    Stable Diffusion's DDIM. held: see `sampling.Held`. identity: what `network.identify` gave, if
    the network has looked at the photo already.
    """
    schedule = schedule or DDIMScheduler(**NOISE_SCHEDULE)
    schedule.set_timesteps(steps, device=noise.device)
    with torch.no_grad():
        identity = network.identify(photo, text) if identity is None else identity
    both = torch.cat([torch.zeros_like(changes), changes])
    text, background = (rows.expand(len(both), *rows.shape[1:]) for rows in (text, background))

    def predict(latents: Tensor, timestep: Tensor) -> Tensor:
        """MagicFace's Eq. 4: guidance by the change of AUs, and by nothing else."""
        inputs = (torch.cat([latents, latents]), timestep, text, identity, background, both)
        return magicface.guide_change(*network(*inputs).chunk(2), guidance)

    latents = noise if held is None else held.begin(schedule).expand_as(noise)
    return sample(predict, schedule, latents, schedule.timesteps, held=held, on_step=on_step)


@settings_of(MagicFaceEditor)
def open_magicface(
    model: str | Path | None = None,
    magicface: str | Path | None = None,
    mask_rule: str = RULES[0],
    segmenter: str | Path | None = None,
    landmarker: str | Path | None = None,
    device: str | None = None,
    half: bool = False,
    tokenizer: str | Path | None = None,
    **settings: Any,
) -> MagicFaceEditor:
    """MagicFace by its files.

    magicface: the folder as published, or the file that `au-adapter convert` made of it; by default
    the bundled one, on the bundled base. model, device, half, tokenizer: of its base, Stable
    Diffusion 1.5, see `open_pipeline`. mask_rule: what becomes black in the background, "whole
    person" or "face only". segmenter: BiSeNet's weights instead of Google's segmenter. landmarker:
    face_landmarker.task, else it is looked for. settings: of `MagicFaceEditor`. ValueError for a
    model without a MagicFace, or of another width.
    """
    if magicface is None and model is not None:
        raise ValueError(f"The model {model} needs the option magicface: the files that fit it")
    files = magicface or magicface_folder() / MAGICFACE
    pipeline = open_pipeline(model, device, half, tokenizer)
    network = load_magicface(files).to(pipeline.unet.device, pipeline.unet.dtype)
    _check_base(files, network.unet, pipeline.unet)
    return MagicFaceEditor(
        pipeline=pipeline,
        network=network.requires_grad_(False),
        landmarker=FaceLandmarker(locate(FACE_LANDMARKER, landmarker)),
        person=_person(mask_rule, segmenter),
        mask_rule=mask_rule,
        base=named(model),
        weights=magicface_hash(find_unets(files)),
        **settings,
    )


def _check_base(files: str | Path, unet: nn.Module, base: nn.Module) -> None:
    """ValueError for files whose denoising UNet does not fit the base's text or latents."""
    advice = (
        "give the base that this MagicFace was trained on (Stable Diffusion 1.5 for the published "
        "one)"
    )
    ours, theirs = unet.config.cross_attention_dim, base.config.cross_attention_dim
    if ours != theirs:
        raise ValueError(
            f"{files} reads text of width {ours} and the model encodes it to {theirs}: {advice}"
        )
    ours, theirs = unet.config.out_channels, base.config.out_channels
    if ours != theirs:
        raise ValueError(
            f"{files} edits latents of {ours} channels and the model's have {theirs}: {advice}"
        )


def _person(mask_rule: str, segmenter: str | Path | None) -> PersonMask | None:
    """What finds the pixels that become black in the background."""
    if mask_rule not in RULES:
        raise ValueError(f"mask_rule is {mask_rule!r}, expected one of {', '.join(RULES)}")
    whole = mask_rule == RULES[0]
    if segmenter is not None:
        parser = FaceParser(segmenter)
        return parser.person if whole else parser.face
    return PersonSegmenter(locate(PERSON_SEGMENTER)).mask if whole else None
