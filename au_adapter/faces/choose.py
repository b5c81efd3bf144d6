"""Which of the faces in a picture is meant."""

from __future__ import annotations

from collections.abc import Sequence

from .face import Face

KEYS = {  # how faces are counted -> the smallest key first
    "largest first": lambda face: -float((face.box[2:] - face.box[:2]).prod()),
    "left to right": lambda face: float(face.box[0] + face.box[2]),
    "most confident first": lambda face: -face.score,
}
ORDERS = tuple(KEYS)


def in_order(faces: Sequence[Face], order: str) -> list[Face]:
    """The faces of a picture in one of ORDERS. ValueError for another order."""
    if order not in KEYS:
        raise ValueError(f"There is no order '{order}' of faces: choose one of {', '.join(ORDERS)}")
    return sorted(faces, key=KEYS[order])


def choose_face(faces: Sequence[Face], number: int) -> Face:
    """Face `number` of a picture, the largest being 0. ValueError where there is none."""
    if not 0 <= number < len(faces):
        found = f"{len(faces)} faces, counted from 0" if faces else "no face"
        raise ValueError(
            f"Face {number} was asked for and the picture shows {found}. A face should be turned "
            "to the camera and at least a twentieth of the picture wide: choose another number, or "
            "crop closer"
        )
    return in_order(faces, ORDERS[0])[number]
