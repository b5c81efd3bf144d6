"""What to ask an adapter for, so that a face measures what was meant: one response curve an AU.

A slider at 3 rarely measures 3. A sweep says what it does measure; read backwards, that says where
the slider must stand. `evaluation.calibration` makes the curves, an adapter's file carries them.
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

SCHEMA = 1
RESPONDS = 0.5  # intensity: an AU that rises by less over the whole sweep does not answer


@dataclass(frozen=True)
class ResponseCurve:
    """Requested -> measured intensity of one AU, straight between the points.

    requested: rising, two or more. measured: never falling, as many. ValueError otherwise.
    """

    requested: tuple[float, ...]
    measured: tuple[float, ...]

    def __post_init__(self) -> None:
        requested, measured = (tuple(map(float, side)) for side in (self.requested, self.measured))
        object.__setattr__(self, "requested", requested)
        object.__setattr__(self, "measured", measured)
        pairs = list(zip(requested, requested[1:], strict=False))
        falls = any(a > b for a, b in zip(measured, measured[1:], strict=False))
        finite = all(map(math.isfinite, requested + measured))
        rising = bool(pairs) and all(a < b for a, b in pairs)
        if not (rising and finite) or falls or len(requested) != len(measured):
            raise ValueError(
                "a response curve has two or more rising requests and as many measurements that "
                f"never fall, all finite; found {list(requested)} and {list(measured)}"
            )

    @property
    def responds(self) -> bool:
        """Whether the AU answers its slider at all."""
        return self.measured[-1] - self.measured[0] >= RESPONDS

    def request(self, wanted: Tensor) -> Tensor:
        """The smallest request that measures `wanted`, any shape: min { r : curve(r) >= wanted }.

        Above everything measured: the smallest request that measures most; nothing is extrapolated.
        Below: the smallest request. 0 and negative values stay as they are, since an estimator sees
        nothing there, and so does everything where the AU does not respond.
        """
        if not self.responds:
            return wanted
        requested, measured = (wanted.new_tensor(side) for side in (self.requested, self.measured))
        reachable = wanted.clamp(max=measured[-1])
        above = torch.searchsorted(measured, reachable.contiguous()).clamp(min=1)
        low, high = measured[above - 1], measured[above]
        part = ((reachable - low) / (high - low).clamp(min=1e-9)).clamp(0, 1)
        found = torch.lerp(requested[above - 1], requested[above], part)
        return torch.where(wanted > 0, found, wanted)


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
            if data["schema"] != SCHEMA:
                raise ValueError(f"schema {data['schema']!r}, known is {SCHEMA}")
            curves = {
                int(unit): ResponseCurve(tuple(curve["requested"]), tuple(curve["measured"]))
                for unit, curve in data["curves"].items()
            }
            return cls(str(data["estimator"]), curves, str(data["conditions"]))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"this is no calibration of an AU-Adapter ({error})") from error
