"""What a reader of Action Units says about one face."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

from ..facs.vector import AUVector

SCHEMA = 1  # of `ReadingSet.to_dict`
TURNED = 40.0  # degrees of yaw or pitch from which a picture shows half a face
ONE_GRADE = 1.0  # sides that differ by less than a grade of FACS are given as one


@dataclass(frozen=True)
class Reading:
    """One face as an estimator saw it.

    image: index of the picture in the batch. face: index of the face in that picture. box: left,
    top, right, bottom in pixels. confidence: 0..1, that this is a face. aus: its Action Units, a
    vector of one face, intensities 0..5. turn: degrees from the camera, sideways or up and down,
    the larger; None where the estimator does not tell. A picture without a face has no Reading.
    """

    image: int
    face: int
    box: tuple[float, float, float, float]
    confidence: float
    aus: AUVector
    turn: float | None = None

    @property
    def turned(self) -> bool:
        """Whether the head is turned so far away that the AUs are a guess."""
        return self.turn is not None and self.turn > TURNED


@dataclass(frozen=True)
class ReadingSet:
    """What one estimator saw in a batch: the socket AU_READING.

    estimator: its name, which stands beside every number made of it. pictures: how many it looked
    at; one without a Reading showed no face. readings: by picture, the surest face first.
    """

    estimator: str
    pictures: int
    readings: tuple[Reading, ...]

    @classmethod
    def stack(cls, parts: Sequence[ReadingSet]) -> ReadingSet:
        """Batches that one estimator read, one after another. ValueError for two estimators."""
        if len({part.estimator for part in parts}) != 1:
            raise ValueError("the readings of one estimator are put together, and at least one")
        firsts = accumulate((part.pictures for part in parts), initial=0)
        moved = (
            replace(reading, image=first + reading.image)
            for first, part in zip(firsts, parts, strict=False)
            for reading in part.readings
        )
        return cls(parts[0].estimator, sum(part.pictures for part in parts), tuple(moved))

    def of(self, picture: int) -> list[Reading]:
        """The faces of one picture, an empty list where none was found."""
        return [reading for reading in self.readings if reading.image == picture]

    def to_dict(self) -> dict[str, Any]:
        """For JSON, laid out as in `estimate --json`: {"schema": 1, "estimator", "images":
        [{"faces": [{"index", "box", "confidence", "aus": {"12": 3.1, "L4": 0.5}}]}]}."""
        images = [{"faces": [face_json(r, 3) for r in self.of(n)]} for n in range(self.pictures)]
        return {"schema": SCHEMA, "estimator": self.estimator, "images": images}

    def surest(self) -> list[Reading | None]:
        """The surest face of each picture, None where none was found."""
        found: dict[int, Reading] = {}
        for reading in self.readings:
            best = found.get(reading.image)
            if best is None or reading.confidence > best.confidence:
                found[reading.image] = reading
        return [found.get(picture) for picture in range(self.pictures)]


def face_json(reading: Reading, digits: int = 4) -> dict[str, Any]:
    """A face as in `estimate --json`. digits: of the confidence."""
    return {
        "index": reading.face,
        "box": [round(float(side), 1) for side in reading.box],
        "confidence": round(float(reading.confidence), digits),
        "aus": codes(reading.aus),
    }


def codes(aus: AUVector) -> dict[str, float]:
    """One face as people read it, {"12": 3.1, "L4": 2.0, "R4": 0.5}, zeros included, to two digits;
    sides stand apart only from a grade on. `AUVector.from_dict` reads it."""
    found: dict[str, float] = {}
    sides = (side[0].tolist() for side in aus.sides())
    for unit, left, right in zip(aus.units, *sides, strict=True):
        if abs(left - right) < ONE_GRADE:
            found[str(unit)] = round((left + right) / 2, 2)
        else:
            found |= {f"L{unit}": round(left, 2), f"R{unit}": round(right, 2)}
    return found
