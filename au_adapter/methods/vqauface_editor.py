"""VQ-AUFace on photos of any size: find the face, draw it anew from its AUs, put it back.

editor = open_editor("vq-auface")  # the bundled model
opened = editor.open(read_picture("photo.jpg"))
smiling = opened.edit(AUVector.parse("6B+12D"), seed=1)
smiling = opened.draw(["The corners of the mouth are strongly pulled up."], seed=1)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..bundled import VQAUFACE, vqauface_folder
from ..faces import FACE_LANDMARKER, FaceLandmarker, locate
from ..faces.choose import choose_face
from ..faces.squares import cut_square, paste_square
from ..facs import AUVector, face_text
from ..models.vqauface import Condition, Reference, VQAUFace
from ..models.vqauface.vqauface import TEXT, VECTOR
from ..weights.tensors import weights_name
from ..weights.vqauface_files import load_vqauface
from .base_generator import batches, default_device, half_precision
from .method import OnStep, settings_of

LEVELS = 3  # faces down to about a twentieth of the photo's longer side
CENTRE = 0.57  # where the middle of a face lies in a picture, from its top; as in the renders
NEAR = 0.15  # of its side: a square photo so near to the face's square is taken whole
FEATHER = 0.06  # width of the soft edge of what is put back, as a share of its side

# Told after every step: how many of how many, and the pictures [N, S, S, 3] as they are so far.
OnPreview = Callable[[int, int, Callable[[], Tensor]], None]


@dataclass(frozen=True, kw_only=True)
class VQAUFaceEditor:
    """An Editor that draws the face of a photo anew with the AUs it is asked for.

    landmarker: finds faces; None takes every photo as a whole, which must be framed like those that
    the model was trained on. weights: what names the network. steps, guidance, temperature: see
    `parallel_decode`. policy: of AU texts, see `facs.face_text`; wording: the seed that chooses
    their words. batch: faces drawn at once. half: 16 bits instead of 32. on_step: see
    `method.OnStep`. on_preview: see `OnPreview`.
    """

    network: VQAUFace
    landmarker: FaceLandmarker | None
    weights: str = "unnamed"
    steps: int = 12
    guidance: float = 3.0
    temperature: float = 1.0
    policy: str = "paper"
    wording: int = 0
    batch: int = 8
    half: bool = False
    on_step: OnStep | None = None
    on_preview: OnPreview | None = None

    name: ClassVar[str] = "VQ-AUFace"
    scale: ClassVar[str] = "absolute"

    @property
    def units(self) -> tuple[int, ...]:
        """The AUs that it was trained on."""
        return self.network.config.units

    @property
    def sides(self) -> bool:
        """Whether it was trained with left and right apart."""
        return self.network.config.sides

    def changed(self, **settings: Any) -> VQAUFaceEditor:
        """The same method with other settings."""
        return replace(self, **settings)

    def settings(self) -> dict[str, object]:
        """What a reader of its numbers must know."""
        names = ("weights", "steps", "guidance", "temperature", "policy", "wording", "half")
        config = self.network.config
        left_out = [n for n in ("structure", "appearance", "reference") if not getattr(config, n)]
        told = {name: getattr(self, name) for name in names}
        return {**told, "driver": config.driver, "without": left_out}

    def open(self, photo: Tensor, face: int = 0) -> VQAUFacePhoto:
        """Find a face in a photo [1, H, W, 3], the largest first, and look at it, once. ValueError
        where there is no such face."""
        photo = photo[..., :3].float().cpu()
        square = self._square(photo, face)
        picture = cut_square(photo[0], square, self.network.config.codec.size)
        seen = (picture.movedim(-1, 0)[None] * 2 - 1).to(self.network.untold)
        with torch.no_grad(), self.precision():
            reference = self.network.look(seen)
        return VQAUFacePhoto(self, photo[0], square, reference)

    def precision(self) -> torch.autocast:
        """Sixteen bits where they are asked for."""
        device = self.network.untold.device
        return torch.autocast(device.type, half_precision(device), enabled=self.half)

    def _square(self, photo: Tensor, face: int) -> Tensor:
        """The square [4] = x0 y0 x1 y1 of a photo that is drawn anew."""
        height, width = photo.shape[1:3]
        whole = torch.tensor([0, 0, width, height])
        if self.landmarker is None:
            if face:
                raise ValueError(f"the photo is taken whole and chooses no face: face is {face}")
            return whole
        (found,) = self.landmarker.detect(photo, levels=LEVELS)
        square = framed(choose_face(found, face).box, self.network.config.framing)
        near = NEAR * float(square[2] - square[0])
        is_whole = height == width and bool(((square - whole).abs() <= near).all())
        return whole if is_whole else square

    def condition(self, aus: AUVector) -> Condition:
        """What the network is asked for by N AU vectors. ValueError for AUs that it does not
        know."""
        aus = aus.select(self.units)
        if self.network.config.driver == VECTOR:
            return self.network.ask_vector(aus.values)
        words = self.network.config.intensity_words
        faces = [face_text(aus.face(n), self.policy, "anatomical", words, self.wording)
                 for n in range(len(aus))]  # fmt: skip
        return self.network.ask_text([face.text for face in faces])


@dataclass(frozen=True, eq=False)
class VQAUFacePhoto:
    """A photo [H, W, 3] that was opened: the square of its face, and what is seen in it."""

    editor: VQAUFaceEditor
    photo: Tensor
    square: Tensor
    reference: Reference

    def edit(self, aus: AUVector, seed: int = 0) -> Tensor:
        """The photo [N, H, W, 3] with each of N AU vectors, intensities 0..5; all zero is a relaxed
        face. ValueError for AUs that the model does not know, and for sides that differ where it
        knows none."""
        if not self.editor.sides and not torch.equal(*aus.sides()):
            raise ValueError(
                f"{self.editor.name} moves both sides alike and was asked for {aus.notation()}: "
                "write AU12 instead of L12"
            )
        return self._drawn(self.editor.condition(aus), seed)

    def draw(self, texts: Sequence[str], seed: int = 0) -> Tensor:
        """The photo [N, H, W, 3] as each of N AU texts describes the face. ValueError for a text
        that the model cannot read, and where it takes vectors."""
        network = self.editor.network
        if network.config.driver != TEXT:
            raise ValueError("this VQ-AUFace takes AU vectors instead of text: connect one")
        return self._drawn(network.ask_text(texts), seed)

    def _drawn(self, condition: Condition, seed: int) -> Tensor:
        return torch.cat(
            [
                self._pasted(self._pictures(rows, condition, seed))
                for rows in batches(len(condition.asked), self.editor.batch)
            ]
        )

    def _pictures(self, rows: range, condition: Condition, seed: int) -> Tensor:
        """Drawn faces [n, S, S, 3] in 0..1."""
        editor, network = self.editor, self.editor.network
        here = slice(rows.start, rows.stop)
        part = Condition(condition.asked[here], condition.told[here])

        def tell(step: int, steps: int, ids: Tensor) -> None:
            if editor.on_step is not None:
                editor.on_step(step, steps)
            if editor.on_preview is not None:
                editor.on_preview(step, steps, lambda: _shown(network.codec.decode(ids)))

        with torch.no_grad(), editor.precision():
            drawn = network.draw(
                part,
                self.reference,
                seed,
                editor.steps,
                editor.guidance,
                editor.temperature,
                tell,
            )
        return _shown(drawn)

    def _pasted(self, drawn: Tensor) -> Tensor:
        size = torch.ones(drawn.shape[1:3])
        whole = tuple(self.square.tolist()) == (0, 0, *reversed(self.photo.shape[:2]))
        feather = 0.0 if whole else FEATHER
        return torch.stack([paste_square(self.photo, d, self.square, size, feather) for d in drawn])


def _shown(pictures: Tensor) -> Tensor:
    """Pictures [N, 3, S, S] in about -1..1 as [N, S, S, 3] in 0..1, on the processor."""
    return (pictures.float() / 2 + 0.5).clamp(0, 1).movedim(1, -1).cpu()


def framed(box: Tensor, framing: float) -> Tensor:
    """The square [4] = x0 y0 x1 y1 in whole pixels around a face's box [4], `framing` times as wide
    as the face; it may reach beyond the photo."""
    x0, y0, x1, y1 = box.tolist()
    side = round(framing * (x1 - x0))
    left, top = round((x0 + x1 - side) / 2), round((y0 + y1) / 2 - CENTRE * side)
    return torch.tensor([left, top, left + side, top + side])


def vqauface_file(file: str | Path | None = None) -> Path:
    """A model's file: the one named, else the bundled one; FileNotFoundError without it."""
    path = Path(file) if file else vqauface_folder() / VQAUFACE
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no VQ-AUFace {path}: train one (au-adapter train --recipe vq-auface-codec, "
            "then vqauface) and name its file vqauface.safetensors"
        )
    return path


@settings_of(VQAUFaceEditor)
def open_vqauface(
    file: str | Path | None = None,
    text_model: str | Path | None = None,
    clip: str | Path | None = None,
    recognition: str | None = None,
    landmarker: str | Path | None = None,
    device: str | None = None,
    **settings: Any,
) -> VQAUFaceEditor:
    """VQ-AUFace by its file, by default the bundled one.

    text_model, clip, recognition: see `load_vqauface`. landmarker: face_landmarker.task, else it is
    looked for. device: as torch names it; by default this process's GPU where there is one.
    settings: of `VQAUFaceEditor`.
    """
    network = load_vqauface(vqauface_file(file), text_model, clip, recognition)
    return VQAUFaceEditor(
        network=network.to(torch.device(device) if device else default_device()),
        landmarker=FaceLandmarker(locate(FACE_LANDMARKER, landmarker)),
        weights=weights_name(network),
        **settings,
    )
