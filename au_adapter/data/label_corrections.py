"""FineFace's corrections of automatic AU labels (supplement, Dataset Construction).

| AUs        | "paper"                | "released"                                                |
|------------|------------------------|-----------------------------------------------------------|
| 1, 4       | x^1.8, min-max to 0..5 | x^1.8, min-max to the column's own maximum                |
| 15, 17, 20 | x^0.8, min-max to 0..5 | x^0.8, min-max (15 and 20 to AU17's maximum), times 1.8   |
| all, then  | below 1 becomes 0      | below 1.1 becomes 0                                       |

The paper's powers are taken of 0..5, the released of 0..1. Released intensities may come out above
5; training clips them, whatever its smoothing. Minimum and maximum are those of all faces that stay
in the data set.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

VARIANTS = ("paper", "released")
POWERS = {1: 1.8, 4: 1.8, 15: 0.8, 17: 0.8, 20: 0.8}
STRENGTHENED = (15, 17, 20)
RELEASED_GAIN = 1.8
LOWEST = {"paper": 1.0, "released": 1.1}
FULL = 5.0


@dataclass(frozen=True)
class Correction:
    """A fitted correction. ranges: AU number -> smallest and largest intensity, 0..5, before it."""

    variant: str
    ranges: Mapping[int, tuple[float, float]]

    def __call__(self, aus: Mapping[str, float]) -> dict[str, float]:
        """AU code -> intensity, corrected; a label of one side by the range of its AU."""
        changed = {code: self._spread(_number(code), value) for code, value in aus.items()}
        lowest = LOWEST[self.variant]
        return {code: value if value >= lowest else 0.0 for code, value in changed.items()}

    def _spread(self, unit: int, value: float) -> float:
        if unit not in POWERS:
            return value
        scale, top = (1.0, FULL) if self.variant == "paper" else (FULL, self.ranges[unit][1])
        if self.variant == "released" and unit in STRENGTHENED:
            top = RELEASED_GAIN * self.ranges.get(17, self.ranges[unit])[1]
        low, high, raised = ((v / scale) ** POWERS[unit] for v in (*self.ranges[unit], value))
        # A column of one value has no range to spread.
        return value if high == low else (raised - low) / (high - low) * top


def fit(labels: Iterable[Mapping[str, float]], variant: str) -> Correction:
    """The correction for a data set, from all its labels (AU code -> 0..5)."""
    ranges: dict[int, tuple[float, float]] = {}
    for label in labels:
        for code, value in label.items():
            low, high = ranges.get(_number(code), (value, value))
            ranges[_number(code)] = min(low, value), max(high, value)
    return Correction(variant, ranges)


def _number(code: str) -> int:
    return int(code.lstrip("LR"))
