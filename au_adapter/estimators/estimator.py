"""What an estimator of Action Units is: pictures in, Readings out."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor

from .reading import Reading, ReadingSet


@runtime_checkable
class Estimator(Protocol):
    """Anything with a name, the AUs it reads, and `estimate`.

    name: stands beside every number made with it. units: AU numbers, the columns of its vectors.
    """

    name: str
    units: tuple[int, ...]

    def estimate(self, images: Tensor) -> list[Reading]:
        """The faces of images [N, H, W, 3] in 0..1, by picture, the surest face first.

        A picture without a face, or with NaN or infinity, has no Reading. Raises ValueError for
        another shape.
        """


def read_set(estimator: Estimator, images: Tensor) -> ReadingSet:
    """What an estimator sees in images [N, H, W, 3] in 0..1, with its name and their number."""
    return ReadingSet(estimator.name, len(images), tuple(estimator.estimate(images)))
