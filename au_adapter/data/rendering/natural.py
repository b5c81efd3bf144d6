"""Expressions as people make them: the recipes of facs.presets, stronger, weaker and incomplete."""

from __future__ import annotations

import numpy as np

from ...facs import PRESETS, parse_notation
from .head import MIDDLE_UNITS, UNITS

# Of the recipes, the first so many: those that came later would change the faces of a seed.
RECIPES = 45
STRENGTH = (0.2, 1.4)  # of a recipe as a whole
VARIATION = 0.3  # of each unit by itself
LEFT_OUT = 0.12  # how often a unit of the recipe is missing
VARIANT = 0.3  # how often a unit that some people show is there
STRANGER = 0.2  # how often a unit that is not in the recipe is there
UNEVEN = 0.3  # how often one side is weaker


def natural_sides(rng: np.random.Generator) -> tuple[dict[int, float], dict[int, float]]:
    """Units in 0..5 of the left and the right side, of one random recipe."""
    recipe = PRESETS[list(PRESETS)[int(rng.integers(RECIPES))]]
    codes = {c: v for c, v in parse_notation(recipe.full).items() if rng.random() >= LEFT_OUT}
    codes |= {str(unit): 3.0 for unit in recipe.variants if rng.random() < VARIANT}
    if rng.random() < STRANGER:
        codes.setdefault(str(UNITS[int(rng.integers(len(UNITS)))]), 3.0)
    strength = rng.uniform(*STRENGTH)
    left, right = {}, {}
    for code, value in codes.items():
        unit = int(code.lstrip("LR"))
        if unit in UNITS:  # 11 is in recipes, but has no shape
            value = float(np.clip(value * strength * (1 + rng.normal(0, VARIATION)), 0, 5))
            left[unit] = 0.0 if code.startswith("R") else value
            right[unit] = 0.0 if code.startswith("L") else value
    return _uneven(rng, left, right)


def _uneven(
    rng: np.random.Generator, left: dict[int, float], right: dict[int, float]
) -> tuple[dict[int, float], dict[int, float]]:
    """Weaken a side of the whole face at times; the middle of the face has no sides."""
    if rng.random() < UNEVEN:
        weaker, share = (left, right)[int(rng.integers(2))], rng.uniform(0.3, 1.0)
        weaker |= {unit: v * share for unit, v in weaker.items() if unit not in MIDDLE_UNITS}
    return left, right
