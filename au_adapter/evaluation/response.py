"""How a face answers its sliders: from rows to response curve, error and side effects.

The method of a row is "adapter" or "none": a "none" row repeats prompt and seed without the
adapter, with the AUs that its twin was asked for, as demo/report.json holds them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence

import numpy as np
import torch

from ..metrics import au_mse, linearity
from .records import Row


def response_curve(rows: Sequence[Row], unit: str) -> dict[float, float]:
    """Requested -> mean measured intensity of a unit, over rows that ask for this unit alone."""
    measured = defaultdict(list)
    for row in rows:
        if row.method == "adapter" and list(row.requested) == [unit]:
            measured[row.requested[unit]].append(row.measured[unit])
    return {level: float(np.mean(values)) for level, values in sorted(measured.items())}


def spearman(curve: dict[float, float]) -> float:
    """Rank correlation, -1..1, of requested against measured; 0 where nothing moves."""
    if len(set(curve.values())) < 2:
        return 0.0
    return linearity(*torch.tensor(list(curve.items()), dtype=torch.float64).T).spearman


def rise(curve: dict[float, float]) -> float:
    """Measured at the strongest request minus measured at the weakest, in intensity units."""
    return curve[max(curve)] - curve[min(curve)]


def prompted_error(rows: Iterable[Row], method: str) -> float:
    """`au_mse` of a method over the AUs that each row asks for; rows that ask for none are left
    out. KeyError for an AU that was asked for and not read."""
    asked = [row for row in rows if row.method == method and row.requested]
    return _error(asked, [row.requested for row in asked])


def full_error(rows: Iterable[Row], method: str) -> float:
    """`au_mse` of a method over all measured AUs, those not asked for being asked for at 0."""
    own = [row for row in rows if row.method == method]
    return _error(own, [row.measured for row in own])


def _error(rows: Sequence[Row], counted: Sequence[Collection[str]]) -> float:
    """`au_mse` over the AUs that count in each row."""
    if not rows:
        raise ValueError("an AU error needs rows, and there are none of this method")
    units = list(dict.fromkeys(unit for of in counted for unit in of))
    pairs = [
        [(row.requested.get(u, 0.0), row.measured[u]) if u in of else (0.0, 0.0) for u in units]
        for row, of in zip(rows, counted, strict=True)
    ]
    requested, measured = torch.tensor(pairs, dtype=torch.float64).unbind(-1)
    return au_mse(requested, measured, torch.tensor([[u in of for u in units] for of in counted]))
