"""Calibration: one response curve per AU, so that a face measures what was requested.

A request of 3 rarely measures 3, the measurement varies between faces, and the rest of the picture
changes too. A sweep over several faces measures all three. The calibrated request has the least
expected error. `evaluation.fit_calibration` fits the curves, an adapter's file carries them.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

import torch
from torch import Tensor

from ..facs import AUVector

SCHEMA = 2
KNOWN_SCHEMAS = (1, 2)  # 1 has no spread; either may lack the cost
EQUAL = 1e-9  # squared intensities: requests whose errors differ by less are equally good
RESPONDS = 0.5  # intensity: an AU that rises by less over the whole sweep does not respond


@dataclass(frozen=True)
class ResponseCurve:
    """Requested -> measured intensity of one AU, straight between the points.

    requested: rising, two or more. measured: the mean over faces, never falling. spread: the
    standard deviation between faces. cost: the change of the rest of the picture, in intensities.
    All of one length; spread and cost are 0 where unknown. ValueError otherwise.
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
        return self.measured[-1] - self.measured[0] >= RESPONDS

    def request(self, wanted: Tensor) -> Tensor:
        """The request with the least expected squared error, for `wanted` of any shape:

            argmin over r of (measured(r) - wanted)^2 + spread(r)^2 + cost(r)^2

        The smallest of equally good ones. Without spread and cost it is the smallest request that
        measures `wanted`, or the largest request of the sweep where none does; nothing is
        extrapolated. With spread it moves to where faces agree more. It never falls as `wanted`
        rises. Values of 0 and below stay, because an estimator cannot see them, and so do all
        values of an AU that does not respond.
        """
        if not self.responds:
            return wanted
        points = torch.tensor(self._sides(), dtype=torch.float64)
        (low, *starts), (step, *slopes) = points[:, :-1], points.diff(dim=1)
        seen, *wrong = starts
        wrong = [seen - wanted.to("cpu", torch.float64)[..., None], *wrong]
        # On each straight segment the error is a parabola with its minimum at this part of the way.
        part = -sum(w * slope for w, slope in zip(wrong, slopes, strict=True))
        part = (part / sum(slope**2 for slope in slopes).clamp(min=1e-12)).clamp(0, 1)
        error = sum((w + part * slope) ** 2 for w, slope in zip(wrong, slopes, strict=True))
        best = error <= error.amin(-1, keepdim=True) + EQUAL
        found = torch.where(best, low + part * step, torch.inf).amin(-1)
        return torch.where(wanted > 0, found.to(wanted), wanted)


@dataclass(frozen=True)
class Calibration:
    """The response curves of an adapter by AU number.

    estimator: the one that measured. conditions: base, guidance and steps of the pictures, as text:
    another guidance has other curves.
    """

    estimator: str
    curves: Mapping[int, ResponseCurve]
    conditions: str = ""

    def requests(self, wanted: AUVector) -> AUVector:
        """What to request so that `wanted` is measured, each side by itself; see
        `ResponseCurve.request`. AUs without a curve stay as they are."""

        def change(values: Tensor) -> Tensor:
            pairs = zip(wanted.units, values.unbind(1), strict=True)
            columns = [self.curves[u].request(v) if u in self.curves else v for u, v in pairs]
            return torch.stack(columns, 1)

        sides = () if wanted.left is None else map(change, wanted.sides())
        return AUVector(wanted.units, change(wanted.values), *sides)

    def joined(self, newer: Calibration) -> Calibration:
        """These curves, with those of `newer` added or replaced. Curves of different estimators do
        not mix: then only `newer` stays."""
        if newer.estimator != self.estimator:
            return newer
        return Calibration(newer.estimator, {**self.curves, **newer.curves}, newer.conditions)

    def unresponsive(self) -> list[int]:
        """AUs that do not respond; their requests stay as they are."""
        return [unit for unit, curve in self.curves.items() if not curve.responds]

    def name(self) -> str:
        """16 hex digits, equal for equal calibrations."""
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
            sides = [field.name for field in fields(ResponseCurve)]
            curves = {
                int(unit): ResponseCurve(*(tuple(curve.get(side, ())) for side in sides))
                for unit, curve in data["curves"].items()
            }
            return cls(str(data["estimator"]), curves, str(data["conditions"]))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"this is no calibration of an AU-Adapter ({error})") from error
