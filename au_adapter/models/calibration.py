"""What to ask an adapter for, so that a face measures what was meant: one response curve an AU.

A slider at 3 rarely measures 3, and on one face it measures more than on another; and what moves
the AU changes the rest of the picture too. A sweep over some faces says how much of each; the
request that is least wrong over all of them says where the slider must stand.
`evaluation.calibration` makes the curves, an adapter's file carries them.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from ..facs import AUVector

SCHEMA = 2
KNOWN_SCHEMAS = (1, 2)  # 1 has no spread; either may lack the cost
EQUAL = 1e-9  # squared intensities: requests that differ by less in their error are as good
RESPONDS = 0.5  # intensity: an AU that rises by less over the whole sweep does not answer


@dataclass(frozen=True)
class ResponseCurve:
    """Requested -> measured intensity of one AU, straight between the points.

    requested: rising, two or more. measured: the mean over faces, never falling, as many. spread:
    the standard deviation between faces; cost: in intensities, how bad it is that the picture
    changes so much. As many, and all 0 where nothing is known of them. ValueError otherwise.
    """

    requested: tuple[float, ...]
    measured: tuple[float, ...]
    spread: tuple[float, ...] = ()
    cost: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        nothing = (0.0,) * len(self.requested)
        for name in ("requested", "measured", "spread", "cost"):
            object.__setattr__(self, name, tuple(map(float, getattr(self, name) or nothing)))
        sides = requested, measured, *wrong = self._sides()
        pairs = list(zip(requested, requested[1:], strict=False))
        falls = any(a > b for a, b in zip(measured, measured[1:], strict=False))
        finite = all(map(math.isfinite, sum(sides, ())))
        rising = bool(pairs) and all(a < b for a, b in pairs)
        as_many = len(set(map(len, sides))) == 1
        if not (rising and finite and as_many) or falls or min(sum(wrong, ())) < 0:
            raise ValueError(
                "a response curve has two or more rising requests, as many measurements that never "
                "fall, and as many spreads and costs of 0 or more, all finite; found "
                f"{', '.join(str(list(side)) for side in sides)}"
            )

    def _sides(self) -> tuple[tuple[float, ...], ...]:
        return self.requested, self.measured, self.spread, self.cost

    @property
    def responds(self) -> bool:
        """Whether the AU answers its slider at all."""
        return self.measured[-1] - self.measured[0] >= RESPONDS

    def request(self, wanted: Tensor) -> Tensor:
        """What to ask for so that the expected squared error is least, for `wanted` of any shape:

            argmin over r of (measured(r) - wanted)^2 + spread(r)^2 + cost(r)^2

        The smallest of equals. Where faces agree and nothing costs, that is the smallest request
        that measures `wanted`, or the most where nothing measures so much; nothing is extrapolated.
        Where they differ, it is on the side on which they agree more. Never falls as `wanted`
        rises. 0 and negative values stay as they are, since an estimator sees nothing there, and so
        does everything where the AU does not respond.
        """
        if not self.responds:
            return wanted
        points = torch.tensor(self._sides(), dtype=torch.float64)
        (low, *starts), (step, *slopes) = points[:, :-1], points.diff(dim=1)
        seen, *wrong = starts
        wrong = [seen - wanted.to("cpu", torch.float64)[..., None], *wrong]
        # On each straight piece the error is a parabola, least at this part of the way.
        part = -sum(w * slope for w, slope in zip(wrong, slopes, strict=True))
        part = (part / sum(slope**2 for slope in slopes).clamp(min=1e-12)).clamp(0, 1)
        error = sum((w + part * slope) ** 2 for w, slope in zip(wrong, slopes, strict=True))
        best = error <= error.amin(-1, keepdim=True) + EQUAL
        found = torch.where(best, low + part * step, torch.inf).amin(-1)
        return torch.where(wanted > 0, found.to(wanted), wanted)


@dataclass(frozen=True)
class Calibration:
    """The response curves of an adapter by AU number.

    estimator: whose intensities they are. conditions: how the pictures were made (base, guidance,
    steps), for people: at another guidance the curves are others.
    """

    estimator: str
    curves: Mapping[int, ResponseCurve]
    conditions: str = ""

    def requests(self, wanted: AUVector) -> AUVector:
        """What to ask for so that `wanted` is measured; AUs without a curve stay as they are.
        Sides are looked up apart. See `ResponseCurve.request` for what lies outside a curve."""

        def change(values: Tensor) -> Tensor:
            columns = [self._column(values[:, i], unit) for i, unit in enumerate(wanted.units)]
            return torch.stack(columns, 1)

        sides = () if wanted.left is None else map(change, wanted.sides())
        return AUVector(wanted.units, change(wanted.values), *sides)

    def _column(self, values: Tensor, unit: int) -> Tensor:
        return self.curves[unit].request(values) if unit in self.curves else values

    def joined(self, newer: Calibration) -> Calibration:
        """These curves with those of `newer` added or replaced. The numbers of two estimators do
        not mix: with another one only `newer` stays."""
        if newer.estimator != self.estimator:
            return newer
        return Calibration(newer.estimator, {**self.curves, **newer.curves}, newer.conditions)

    def unresponsive(self) -> list[int]:
        """AUs that do not answer their slider and therefore stay as they are asked for."""
        return [unit for unit, curve in self.curves.items() if not curve.responds]

    def name(self) -> str:
        """16 hex digits: two calibrations with the same ones ask for the same."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]

    def to_json(self) -> str:
        """JSON that `from_json` reads back exactly."""
        curves = {str(unit): asdict(self.curves[unit]) for unit in sorted(self.curves)}
        about = {"estimator": self.estimator, "conditions": self.conditions}
        return json.dumps({"schema": SCHEMA, **about, "curves": curves})

    @classmethod
    def from_json(cls, text: str) -> Calibration:
        """What `to_json` wrote; ValueError for anything else."""
        try:
            data = json.loads(text)
            if data["schema"] not in KNOWN_SCHEMAS:
                known = " and ".join(map(str, KNOWN_SCHEMAS))
                raise ValueError(f"schema {data['schema']!r}, known are {known}")
            curves = {
                int(unit): ResponseCurve(
                    tuple(curve["requested"]),
                    tuple(curve["measured"]),
                    tuple(curve.get("spread", ())),
                    tuple(curve.get("cost", ())),
                )
                for unit, curve in data["curves"].items()
            }
            return cls(str(data["estimator"]), curves, str(data["conditions"]))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"this is no calibration of an AU-Adapter ({error})") from error
