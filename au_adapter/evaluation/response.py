"""How a face answers its sliders: requested and measured AUs -> response, error, side effects.

A row is {"method": "adapter" | "none", "prompt", "seed", "requested": {"12": 3.0}, "measured":
{"1": 0.1, ...}}, as demo/report.json holds it. A "none" row repeats prompt and seed without the
adapter, with the AUs that its twin was asked for.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from scipy.stats import spearmanr


def response_curve(rows: list[dict], unit: str) -> dict[float, float]:
    """Requested -> mean measured intensity of a unit, over rows that ask for this unit alone."""
    measured = defaultdict(list)
    for row in rows:
        if row["method"] == "adapter" and list(row["requested"]) == [unit]:
            measured[row["requested"][unit]].append(row["measured"][unit])
    return {level: float(np.mean(values)) for level, values in sorted(measured.items())}


def spearman(curve: dict[float, float]) -> float:
    """Rank correlation, -1..1, of requested against measured; 0 where nothing moves."""
    if len(set(curve.values())) < 2:
        return 0.0
    return float(spearmanr(list(curve), list(curve.values())).statistic)


def rise(curve: dict[float, float]) -> float:
    """Measured at the strongest request minus measured at the weakest, in intensity units."""
    return curve[max(curve)] - curve[min(curve)]


def prompted_error(rows: list[dict], method: str) -> float:
    """Mean squared error over the units that each row asks for, in intensity units squared.

    FineFace Eq. 3, read as prompted units only: over all 12, a picture that answers no slider would
    do better than every figure that the paper gives.
    """
    errors = [
        (wanted - row["measured"][unit]) ** 2
        for row in rows
        if row["method"] == method
        for unit, wanted in row["requested"].items()
    ]
    return float(np.mean(errors))


def full_error(rows: list[dict], method: str) -> float:
    """Mean squared error over all measured units, those not asked for being asked for at 0."""
    errors = [
        (row["requested"].get(unit, 0.0) - value) ** 2
        for row in rows
        if row["method"] == method
        for unit, value in row["measured"].items()
    ]
    return float(np.mean(errors))


def side_effects(rows: list[dict]) -> dict[str, dict[str, float]]:
    """Prompted unit -> unprompted unit -> mean absolute change that asking brought about.

    The change is from the row of the same prompt, seed and unit whose requested value is 0.
    ValueError where there is none.
    """
    neutral = {
        (row["prompt"], row["seed"], unit): row["measured"]
        for row in rows
        if row["method"] == "adapter" and not any(row["requested"].values())
        for unit in row["requested"]
    }
    changes: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if (
            row["method"] != "adapter"
            or len(row["requested"]) != 1
            or not any(row["requested"].values())
        ):
            continue
        (unit,) = row["requested"]
        before = neutral.get((row["prompt"], row["seed"], unit))
        if before is None:
            raise ValueError(
                f"AU{unit} was asked for with the prompt {row['prompt']!r} and seed {row['seed']}, "
                "and never at 0: a change needs the picture without it"
            )
        for other, value in row["measured"].items():
            if other != unit:
                changes[unit][other].append(abs(value - before[other]))
    return {
        unit: {o: float(np.mean(v)) for o, v in others.items()} for unit, others in changes.items()
    }
