"""How a face answers its sliders: from rows to response curve, error and side effects.

The method of a row is "adapter" or "none": a "none" row repeats prompt and seed without the
adapter, with the AUs that its twin was asked for, as demo/report.json holds them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import partial

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
    return _error([row for row in rows if row.method == method and row.requested], "requested")


def full_error(rows: Iterable[Row], method: str) -> float:
    """`au_mse` of a method over all measured AUs, those not asked for being asked for at 0."""
    return _error([row for row in rows if row.method == method], "measured")


def _error(rows: Sequence[Row], counted: str) -> float:
    """`au_mse` over the AUs in the field `counted` of each row."""
    if not rows:
        raise ValueError("an AU error needs rows, and there are none of this method")
    units = list(dict.fromkeys(unit for row in rows for unit in getattr(row, counted)))
    counts = torch.tensor([[unit in getattr(row, counted) for unit in units] for row in rows])
    requested = [[row.requested.get(unit, 0.0) for unit in units] for row in rows]
    measured = [
        [row.measured[unit] if count else 0.0 for unit, count in zip(units, of, strict=True)]
        for row, of in zip(rows, counts.tolist(), strict=True)
    ]
    as_tensor = partial(torch.tensor, dtype=torch.float64)
    return au_mse(as_tensor(requested), as_tensor(measured), counts)


def side_effects(rows: Iterable[Row]) -> dict[str, dict[str, float]]:
    """Prompted unit -> unprompted unit -> mean absolute change that asking brought about.

    The change is from the row of the same prompt, seed and unit whose requested value is 0.
    ValueError where there is none.
    """
    single = [row for row in rows if row.method == "adapter" and len(row.requested) == 1]
    neutral = {
        (row.prompt, row.seed, *row.requested): row.measured
        for row in single
        if not any(row.requested.values())
    }
    changes: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in single:
        ((unit, level),) = row.requested.items()
        if not level:
            continue
        before = neutral.get((row.prompt, row.seed, unit))
        if before is None:
            raise ValueError(
                f"AU{unit} was asked for with the prompt {row.prompt!r} and seed {row.seed}, "
                "and never at 0: a change needs the picture without it"
            )
        for other, value in row.measured.items():
            if other != unit:
                changes[unit][other].append(abs(value - before[other]))
    return {
        unit: {o: float(np.mean(v)) for o, v in others.items()} for unit, others in changes.items()
    }
