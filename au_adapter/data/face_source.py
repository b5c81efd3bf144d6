"""Labelled faces before they are shards: where they come from, and the steps that drop some."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol

from PIL import Image

from .pictures import PictureError, read_rgb

LOGGER = logging.getLogger("au_adapter")


@dataclass(frozen=True)
class LabelledFace:
    """One labelled picture. aus: AU code such as "12" or "L4" -> intensity; None where the label is
    missing. caption: may be empty. about: more for the label, plain values for JSON."""

    file: Path
    aus: Mapping[str, float] | None
    caption: str = ""
    about: Mapping[str, object] = field(default_factory=dict)

    @cached_property
    def picture(self) -> Image.Image:
        """The picture, upright, in RGB. PictureError where it cannot be read."""
        return read_rgb(self.file)


class Captioner(Protocol):
    """Describes pictures, as `blip2` does. name: what made the captions, for the data card."""

    name: str

    def caption(self, pictures: Sequence[Image.Image]) -> list[str]:
        """One caption for each RGB picture."""


class VisionModel(Captioner, Protocol):
    """Describes pictures and answers questions about them."""

    def answer(self, pictures: Sequence[Image.Image], question: str) -> list[str]:
        """One answer, such as "yes", for each RGB picture."""


class FaceSource(Protocol):
    """A data set as published. The same `settings` always give the same faces in the same order."""

    settings: dict
    steps: tuple[Step, ...]

    def faces(self) -> Iterator[LabelledFace]:
        """Every row, from the beginning at each call."""


@dataclass(frozen=True)
class Step:
    """A reason to leave faces out. name: what is left out, as the data card says it."""

    name: str
    stays: Callable[[LabelledFace], bool]

    def keeps(self, faces: Sequence[LabelledFace]) -> list[bool]:
        return [self.stays(face) for face in faces]


@dataclass(frozen=True)
class Asked(Step):
    """Asks a model about many pictures at once. stays: takes an answer in small letters."""

    stays: Callable[[str], bool]
    model: VisionModel
    question: str

    def keeps(self, faces: Sequence[LabelledFace]) -> list[bool]:
        answers = self.model.answer([face.picture for face in faces], self.question)
        return [self.stays(answer.strip().lower()) for answer in answers]


def is_readable(face: LabelledFace) -> bool:
    """Whether the picture can be decoded; if not, the log says why."""
    try:
        return face.picture is not None
    except PictureError as error:
        LOGGER.warning("%s: it is left out", error)
        return False


def sampled(share: float, seed: int = 0) -> Step:
    """Keeps a share (0..1) of the faces without any AU, the same ones every time: hashes of the
    last three parts of the paths decide, so that the choice depends on no order."""

    def stays(face: LabelledFace) -> bool:
        name = "/".join(face.file.parts[-3:])
        lot = int.from_bytes(hashlib.sha256(f"{seed} {name}".encode()).digest()[:8], "big")
        return any(face.aus.values()) or lot / 2**64 < share

    return Step(f"no AU at all, {share:.4g} of them kept", stays)


LABEL_STEPS = (
    Step("no label", lambda face: face.aus is not None),
    # The numbers of a table on another scale.
    Step("an intensity outside 0..5", lambda face: all(0 <= v <= 5 for v in face.aus.values())),
)
PRESENT = Step("no such file", lambda face: face.file.is_file())
READABLE = Step("unreadable picture", is_readable)
PICTURE_STEPS = (PRESENT, READABLE)
