"""The list of AU Sweep: several Action Units, looks and FACS notation, one after another."""

from __future__ import annotations

import re

import torch

from au_adapter.facs import PRESETS, AUVector

_UNIT = re.compile(r"(?:AU)?\s*[LR]?(?:AU)?\d+", re.IGNORECASE)
_LOOKS = {name.lower(): name for name in PRESETS}
PLACEHOLDER = "or a list, one a line:\n12\n4\nhappiness\n6C+12D"


def entries(text: str) -> list[str]:
    """The entries of a list: one a line; a line may hold several looks or units between commas."""
    found = []
    for line in text.splitlines():
        parts = [part.strip() for part in line.split(",") if part.strip()]
        short = all(part.lower() in _LOOKS or _UNIT.fullmatch(part) for part in parts)
        found += parts if short else [line.strip()]
    return found


def sweep_of(unit: str, levels: torch.Tensor) -> tuple[AUVector, list[str]]:
    """One Action Unit in FACS notation, such as 12 or L12, at each level; and a label for each."""
    code = unit.upper().replace(" ", "").replace("AU", "")
    rows = [AUVector.parse(f"{code}:{level}") for level in levels.tolist()]
    side, number = re.fullmatch(r"([LR]?)(\d+)", code).groups()
    return AUVector.stack(rows), [f"{side}AU{number} {level:g}" for level in levels.tolist()]


def list_of(text: str, levels: torch.Tensor) -> tuple[AUVector, list[str]]:
    """All vectors of a list in order, with a label for each.

    An Action Unit alone runs through the levels; a look, in set A where it has such a form, and
    notation of more than one unit are one vector each.
    """
    parts = [_of_entry(entry, levels) for entry in entries(text)]
    labels = [label for _, names in parts for label in names]
    return AUVector.stack([vectors for vectors, _ in parts]), labels


def _of_entry(entry: str, levels: torch.Tensor) -> tuple[AUVector, list[str]]:
    if _UNIT.fullmatch(entry):
        return sweep_of(entry, levels)
    if (name := _LOOKS.get(entry.lower())) is not None:
        recipe = PRESETS[name]
        return recipe.vector("full" if recipe.set_a is None else "set_a"), [name]
    try:
        return AUVector.parse(entry), [entry]
    except ValueError as error:
        raise ValueError(
            f"{entry!r} in the list is neither an Action Unit such as 12, nor a look of AU "
            f"Expression, nor FACS notation such as 6C+12D ({error})"
        ) from error
