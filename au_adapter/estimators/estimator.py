"""What an estimator of Action Units is: pictures in, Readings out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor

from .reading import Reading, ReadingSet


@dataclass(frozen=True)
class Abilities:
    """What an estimator can do besides `estimate`.

    sides: it reads left and right apart. neutral: it has `relative_to`, which compares with a
    relaxed photo of the person. finds_faces: it looks for faces; else it takes a picture for one
    face. landmarks: it has `detect` and `read`, which take Faces that were found before. device: it
    has `to`, and computes where it was sent. weak: AUs that it says it reads badly.
    """

    sides: bool = False
    neutral: bool = False
    finds_faces: bool = False
    landmarks: bool = False
    device: bool = False
    weak: tuple[int, ...] = ()


@runtime_checkable
class Estimator(Protocol):
    """Anything with a name, the AUs it reads, and `estimate`; `abilities` where it can do more.

    name: stands beside every number made with it. units: AU numbers, the columns of its vectors.
    """

    name: str
    units: tuple[int, ...]

    def estimate(self, images: Tensor) -> list[Reading]:
        """The faces of images [N, H, W, 3] in 0..1, by picture, the most confident first. A picture
        without a face, or with NaN or infinity, has none. ValueError for another shape."""


def abilities(estimator: Estimator) -> Abilities:
    """What an estimator declares; nothing where it declares nothing."""
    return getattr(estimator, "abilities", Abilities())


def relative_to(estimator: Estimator, neutral: Tensor) -> Estimator:
    """The estimator, reading changes from a face [1, H, W, 3]; ValueError if it cannot."""
    if not abilities(estimator).neutral:
        raise ValueError(
            f"The estimator '{estimator.name}' cannot use a neutral photo: leave it out, or choose "
            "one of mesh, blendshapes"
        )
    return estimator.relative_to(neutral)


def read_set(estimator: Estimator, images: Tensor) -> ReadingSet:
    """What an estimator sees in images [N, H, W, 3] in 0..1, with its name and their number."""
    return ReadingSet(estimator.name, len(images), tuple(estimator.estimate(images)))
