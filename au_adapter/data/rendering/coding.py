"""What a FACS coder notes of a render, where the renderer's shapes say more than one thing.

The jaw's shape parts the lips, and the coder then scores lips part (25) too; 26 and 27 are one
shape, of which FACS calls the smaller half 26 and what goes beyond it 27.
"""

from __future__ import annotations

from collections.abc import Mapping

from .head import AU_SHAPES

JAW_DROP, JAW_STRETCH = AU_SHAPES[26]["jawOpen"], AU_SHAPES[27]["jawOpen"]
# Centimetres between the inner lips that each unit adds for one step of intensity: measured on the
# mean head at intensity 5.
LIP_GAP = {9: 0.15, 10: 0.14, 16: 0.13, 22: 0.27, 25: 0.16, 26: 0.36, 27: 0.65}


def coded(units: Mapping[str, float]) -> dict[str, float]:
    """Rendered units of one side, {"26": 3.0}, as FACS codes their picture: 0..5.

    Lips as far apart as AU26 alone parts them are scored as high as that.
    """
    jaw = (JAW_DROP * units.get("26", 0.0) + JAW_STRETCH * units.get("27", 0.0)) / 5
    gap = sum(rate * units.get(str(unit), 0.0) for unit, rate in LIP_GAP.items())
    parted = max(units.get("25", 0.0), gap / LIP_GAP[26])
    stretched = 5 * max(0.0, (jaw - JAW_DROP) / (JAW_STRETCH - JAW_DROP))
    scores = {"25": parted, "26": 5 * jaw / JAW_DROP, "27": stretched}
    return {**units, **{code: min(5.0, score) for code, score in scores.items()}}
