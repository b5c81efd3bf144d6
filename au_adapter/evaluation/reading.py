"""What a reader of Action Units says about one face."""

from __future__ import annotations

from dataclasses import dataclass

from ..facs.vector import AUVector


@dataclass(frozen=True)
class Reading:
    """One face as an estimator saw it.

    image: index of the picture in the batch. face: index of the face in that picture. box: left,
    top, right, bottom in pixels. confidence: 0..1, that this is a face. aus: its Action Units, a
    vector of one face, intensities 0..5. A picture without a face has no Reading.
    """

    image: int
    face: int
    box: tuple[float, float, float, float]
    confidence: float
    aus: AUVector
