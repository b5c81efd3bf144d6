"""AUEditNet on photos of any size: find the face, invert it, edit its code, paste the face back.

    editor = open_editor("aueditnet")  # the bundled networks
    editor = open_editor("aueditnet", editor="mine.safetensors", generator="e4e_ffhq_encode.pt")
    opened = editor.open(read_picture("photo.jpg"))
    smiling = opened.edit(AUVector.parse("6B+12D"))
    like_them = opened.express(editor.open(read_picture("other.jpg")))

The same as the nodes Invert Face, Apply AUEditNet and Paste Face.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..bundled import AUEDITNET, WPLUS, aueditnet_folder
from ..faces import FACE_LANDMARKER, FaceLandmarker, locate
from ..faces.choose import choose_face
from ..faces.ffhq_alignment import align_faces
from ..faces.squares import FaceCrop
from ..facs import AUVector
from ..models.aueditnet import AUEditNet
from ..weights.aueditnet_files import load_aueditnet
from ..weights.tensors import weights_name
from ..weights.wplus_files import WPlus, load_wplus
from .base_generator import default_device
from .method import OnStep, settings_of
from .wplus_editing import (
    ALL,
    CHANGE,
    INTENSITIES,
    MODES,
    FaceLatent,
    check_fit,
    drawn,
    edited,
    invert,
)

logger = logging.getLogger("au_adapter")
LEVELS = 3  # faces down to about a twentieth of the photo's longer side
FEATHER = 4.0  # width of the soft edge, in % of the side of the square that is cut out


@dataclass(frozen=True, kw_only=True)
class AUEditNetEditor:
    """An Editor in the W+ of a StyleGAN2.

    wplus: generator and encoder; network: what edits their codes, all on one device. mode:
    "intensities", AUs are what the face shall show, or "change". feather: width of the soft edge in
    % of the square's side. on_step: see `method.OnStep`, told after each picture.
    """

    wplus: WPlus
    network: AUEditNet
    landmarker: FaceLandmarker
    mode: str = INTENSITIES
    feather: float = FEATHER
    on_step: OnStep | None = None

    name: ClassVar[str] = "AUEditNet"
    sides: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"mode is one of {', '.join(MODES)}, not {self.mode!r}")
        check_fit(self.network, self.wplus)

    @property
    def units(self) -> tuple[int, ...]:
        """The AUs that it edits."""
        return self.network.config.units

    @property
    def scale(self) -> str:
        """What AUs mean: see `method.Editor`."""
        return "change" if self.mode == CHANGE else "absolute"

    def changed(self, **settings: Any) -> AUEditNetEditor:
        """The same method with other settings."""
        return replace(self, **settings)

    def settings(self) -> dict[str, object]:
        """What a reader of its numbers must know."""
        return {
            "aueditnet": weights_name(self.network),
            "generator": self.wplus.space,
            "encoder": weights_name(self.wplus.encoder),
            "mode": self.mode,
            "feather": self.feather,
        }

    def open(self, photo: Tensor, face: int = 0) -> AUEditNetPhoto:
        """Find a face in a photo [1, H, W, 3], the largest first, and invert it, once."""
        photo = photo[..., :3].float().cpu()
        (found,) = self.landmarker.detect(photo, levels=LEVELS)
        chosen = [(0, choose_face(found, face))]
        side = self.wplus.generator.config.size
        crop, square = align_faces(photo, chosen, side, self.wplus.framing)
        return AUEditNetPhoto(self, photo, crop, invert(self.wplus, square))


@dataclass(frozen=True, eq=False)
class AUEditNetPhoto:
    """A photo that was opened: where its face is, and its code."""

    editor: AUEditNetEditor
    photo: Tensor
    crop: FaceCrop
    latent: FaceLatent

    def edit(self, aus: AUVector, seed: int = 0, region: str = ALL) -> Tensor:
        """The photo [N, H, W, 3] with each of N AU vectors; `region` of facs.REGIONS alone. Nothing
        is random: seed changes nothing. Where no AU changes it is the photo itself, and so is every
        pixel outside the face."""
        return self._pasted(
            edited(self.editor.network, self.latent, aus, self.editor.mode, region)[0]
        )

    def express(
        self, other: AUEditNetPhoto, change: AUVector | None = None, region: str = ALL
    ) -> Tensor:
        """The photo [N, H, W, 3] with the expression of another, plus N changes of AUs. Its own
        expression gives the photo itself."""
        change = AUVector.zeros(self.editor.units) if change is None else change
        latent, _ = edited(
            self.editor.network, self.latent, change, CHANGE, region, expression=other.latent
        )
        return self._pasted(latent)

    def reconstruction(self) -> Tensor:
        """The face [1, R, R, 3] as its code says it: what the inversion keeps."""
        return drawn(self.editor.wplus.generator, self.latent)

    def _pasted(self, latent: FaceLatent) -> Tensor:
        """Photos [N, H, W, 3] with the faces of N codes; a code that is the photo's own is the
        photo."""
        editor, own = self.editor, self.latent.codes[0]
        moved = [row for row, code in enumerate(latent.codes) if not torch.equal(code, own)]
        result = [self.photo[0]] * len(latent)
        if moved:
            here = FaceLatent(latent.codes[moved], latent.space)
            faces = drawn(editor.wplus.generator, here, editor.on_step)
            for row, face in zip(moved, faces, strict=True):
                result[row] = self.crop.paste(self.photo[0], face, 0, editor.feather / 100)
        return torch.stack(result)


@settings_of(AUEditNetEditor)
def open_aueditnet(
    editor: str | Path | None = None,
    generator: str | Path | None = None,
    encoder: str | Path | None = None,
    landmarker: str | Path | None = None,
    device: str | None = None,
    **settings: Any,
) -> AUEditNetEditor:
    """AUEditNet by its files; without any, the bundled ones.

    editor: a file of the recipe aueditnet. generator: of StyleGAN2 and e4e, see
    `weights.wplus_layouts`; encoder: another file where that one has none. landmarker:
    face_landmarker.task, else it is looked for. device: as torch names it. settings: of
    `AUEditNetEditor`. FileNotFoundError for files that are not there, ValueError for others.
    """
    if (editor is None) != (generator is None):
        raise ValueError(
            "an editor and the generator that it was trained on go together: give both editor=FILE "
            "and generator=FILE, or neither for the bundled ones"
        )
    if editor is None:
        editor, generator = _bundled(AUEDITNET), _bundled(WPLUS)
    opened = open_files(editor, generator, encoder)
    where = torch.device(device) if device else default_device()
    for network in (opened[0].generator, opened[0].encoder, opened[1]):
        network.to(where)
    reader = FaceLandmarker(locate(FACE_LANDMARKER, landmarker))
    return AUEditNetEditor(wplus=opened[0], network=opened[1], landmarker=reader, **settings)


def open_files(
    editor: str | Path, generator: str | Path, encoder: str | Path | None = None
) -> tuple[WPlus, AUEditNet]:
    """Generator with encoder, and the editor of their codes; ValueError where they do not fit. An
    editor of another generator of that size opens, and the log says so: faces of a generator that
    was made of the same one can be edited with it."""
    wplus, file = load_wplus(generator, encoder), load_aueditnet(editor)
    check_fit(file.network, wplus)
    if file.space != wplus.space:
        logger.warning(
            "%s was trained on the generator %s, and %s is %s: edits may be wrong",
            Path(editor).name, file.space, Path(generator).name, wplus.space,
        )  # fmt: skip
    return wplus, file.network


def _bundled(name: str) -> Path:
    path = aueditnet_folder() / name
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no bundled {name}: name your own with editor=FILE and generator=FILE, or "
            "install AU-Adapter again, with its weights"
        )
    return path
