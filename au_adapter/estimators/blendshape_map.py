"""AUs by a table made by hand: expression scores and a few distances, weighed and cut to 0..5.

A baseline that needs no training. Its constants were set by looking at a few photos, so its values
are good for comparing two pictures of one person, and coarse on their own.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..faces.blendshapes import BLENDSHAPE_NAMES
from ..facs import SET_A, AUVector

# Points of the mesh on the subject's right and left side.
POINTS = {
    "Right": {"brow": (55, 107), "canthus": 133, "lids": (159, 145), "ala": 64, "corner": 61},
    "Left": {"brow": (285, 336), "canthus": 362, "lids": (386, 374), "ala": 294, "corner": 291},
}
INNER_BROWS = (107, 336)
INNER_LIPS = (13, 14)


class BlendshapeMap:
    """The 12 AUs of set A from aligned points [F, 478, 3] (see faces.alignment) and the 52
    blendshapes [F, 52]. With a resting face, what it shows itself is taken away."""

    name = "au-adapter blendshape map"
    units = SET_A

    def __call__(
        self, points: Tensor, blendshapes: Tensor, resting: tuple[Tensor, Tensor] | None = None
    ) -> AUVector:
        found = _measure(points, blendshapes)
        if resting is not None:
            found = (found - _measure(*resting)).clamp(0, 5)
        return found


def _measure(points: Tensor, blendshapes: Tensor) -> AUVector:
    left, right = (
        torch.stack(list(_side(points, blendshapes, side).values()), -1)
        for side in ("Left", "Right")
    )
    return AUVector(SET_A, left, left, right)


def _side(points: Tensor, blendshapes: Tensor, side: str) -> dict[int, Tensor]:
    """Intensities [F] of one side, in the order of set A; lengths are centimetres."""
    columns = dict(zip(BLENDSHAPE_NAMES, blendshapes.unbind(-1), strict=True))

    def score(name: str) -> Tensor:
        return columns.get(name + side, columns.get(name))

    place, height = POINTS[side], points[..., 1]
    upper, lower = (points[:, point] for point in INNER_LIPS)
    brow_height = height[:, place["brow"]].mean(-1) - height[:, place["canthus"]]
    brow_gap = (points[:, INNER_BROWS[0]] - points[:, INNER_BROWS[1]]).norm(dim=-1)
    lid_gap = (points[:, place["lids"][0]] - points[:, place["lids"][1]]).norm(dim=-1)
    nose_length = height[:, place["canthus"]] - height[:, place["ala"]]
    lips = height[:, INNER_LIPS].mean(-1)
    corner_drop = lips - height[:, place["corner"]]
    shares = {
        1: 0.85 * score("browInnerUp") + 0.35 * ((brow_height - 2.1) / 0.9).clamp(0, 1),
        2: 1.15 * score("browOuterUp"),
        4: 0.85 * score("browDown") + 0.35 * ((3.15 - brow_gap) / 0.45).clamp(0, 1),
        5: torch.maximum(2.2 * score("eyeWide"), (lid_gap - 1.2) / 0.45),
        6: 1.6 * score("mouthSmile") * score("eyeSquint"),  # without a smile AU6 is not seen
        9: (3.95 - nose_length) / 0.7 - 0.9 * score("mouthSmile"),
        12: 1.05 * score("mouthSmile"),
        15: torch.maximum(2.5 * score("mouthFrown"), (corner_drop - 0.1) / 0.45)
        - score("mouthSmile"),
        17: 2.5 * score("mouthShrugLower"),
        20: 3 * (score("mouthStretch") - 0.25 * score("mouthSmile")),
        25: ((upper - lower).norm(dim=-1) - 0.1) / 1.8,
        26: 1.6 * score("jawOpen"),
    }
    return {unit: 5 * share.clamp(0, 1) for unit, share in shares.items()}
