"""Labelled faces before they are shards: where they come from, and the steps that drop some."""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol

from PIL import Image

from .pictures import PictureError, read_rgb

LOGGER = logging.getLogger("au_adapter")


@dataclass(frozen=True)
class LabelledFace:
    """One labelled picture.

    file: its path. aus: AU code such as "12" or "L4" -> intensity; None where the label is missing.
    caption: may be empty. about: more for the label, plain values for JSON.
    """

    file: Path
    aus: Mapping[str, float] | None
    caption: str = ""
    about: Mapping[str, object] = field(default_factory=dict)

    @cached_property
    def picture(self) -> Image.Image:
        """The picture, upright, in RGB. PictureError where it cannot be read."""
        return read_rgb(self.file)


class FaceSource(Protocol):
    """A data set as published. The same `settings` always give the same faces in the same order."""

    settings: dict
    steps: tuple[Step, ...]

    def faces(self) -> Iterator[LabelledFace]:
        """Every row, from the beginning at each call."""


class Step(Protocol):
    """A reason to leave faces out. name: what is left out, as the data card says it."""

    name: str

    def keeps(self, faces: Sequence[LabelledFace]) -> list[bool]:
        """Which of some faces stay."""


class Labelled:
    """Drops rows in which the labelling tool saw no face, or left a number out."""

    name = "no label"

    def keeps(self, faces: Sequence[LabelledFace]) -> list[bool]:
        return [face.aus is not None for face in faces]


class InRange:
    """Drops intensities outside 0..5: the numbers of a table on another scale."""

    name = "an intensity outside 0..5"

    def keeps(self, faces: Sequence[LabelledFace]) -> list[bool]:
        return [all(0 <= v <= 5 for v in face.aus.values()) for face in faces]


class Alone:
    """Drops pictures that a table has several rows for: several faces, and no telling which."""

    name = "several rows for one picture"

    def __init__(self, repeated: Container[Path]):
        self.repeated = repeated

    def keeps(self, faces: Sequence[LabelledFace]) -> list[bool]:
        return [face.file not in self.repeated for face in faces]


class Present:
    """Drops rows whose picture file does not exist."""

    name = "no such file"

    def keeps(self, faces: Sequence[LabelledFace]) -> list[bool]:
        return [face.file.is_file() for face in faces]


class Readable:
    """Drops pictures that cannot be decoded: cut off, damaged, empty, too large, or no picture."""

    name = "unreadable picture"

    def keeps(self, faces: Sequence[LabelledFace]) -> list[bool]:
        return [self._keeps(face) for face in faces]

    def _keeps(self, face: LabelledFace) -> bool:
        try:
            return face.picture is not None
        except PictureError as error:
            LOGGER.warning("%s: it is left out", error)
            return False


class Sampled:
    """Keeps a share of the faces without any AU, the same ones every time.

    share: 0..1. By hashes of the file names, so that the choice depends on no order.
    """

    def __init__(self, share: float, seed: int = 0):
        self.share, self.seed = share, seed
        self.name = f"no AU at all, {share:.4g} of them kept"

    def keeps(self, faces: Sequence[LabelledFace]) -> list[bool]:
        return [any(face.aus.values()) or lot(face.file, self.seed) < self.share for face in faces]


def lot(file: Path, seed: int) -> float:
    """A number in 0..1 that a file name draws, from its last three parts."""
    name = "/".join(file.parts[-3:])
    digest = hashlib.sha256(f"{seed} {name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / math.ldexp(1, 64)


LABEL_STEPS: tuple[Step, ...] = (Labelled(), InRange())
PICTURE_STEPS: tuple[Step, ...] = (Present(), Readable())
