"""Left and right in what was asked for and read: the columns in which a run is scored.

A column is the number of an AU, 12, or one side of it, "L12". Sides stand apart only for AUs that
some picture asks for unevenly: their mean would take a wink of the wrong eye for the right one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from ..facs.vector import AUVector

Column = int | str


def sided_units(requests: Iterable[Mapping[str, float]]) -> list[int]:
    """The AUs of which some request wants left and right to differ, ascending."""
    found: set[int] = set()
    for vector in (AUVector.from_dict(request) for request in requests):
        left, right = vector.sides()
        differ = (left != right).any(0).tolist()
        found |= {unit for unit, apart in zip(vector.units, differ, strict=True) if apart}
    return sorted(found)


def columns(units: Iterable[int], apart: Collection[int]) -> list[Column]:
    """The columns of `units`: left and right for those in `apart`, one for each of the others."""
    pairs = ((f"L{unit}", f"R{unit}") if unit in apart else (unit,) for unit in units)
    return [column for pair in pairs for column in pair]


def of_one_face(aus: AUVector) -> dict[str, float]:
    """Every column that a face can be scored in: {"12": 2.5, "L12": 5.0, "R12": 0.0}."""
    sides = zip(("", "L", "R"), (aus.values, *aus.sides()), strict=True)
    return {
        f"{side}{unit}": value
        for side, values in sides
        for unit, value in zip(aus.units, values[0].tolist(), strict=True)
    }


def intensities(aus: AUVector, apart: Collection[int]) -> dict[str, float]:
    """Column -> intensity of one face, to four digits; AUs in `apart` by side, if it has sides."""
    values = of_one_face(aus)
    found = map(str, columns(aus.units, apart if aus.left is not None else ()))
    return {column: round(values[column], 4) for column in found}


def asked(requested: Mapping[str, float], column: Column) -> float | None:
    """What {"L12": 5.0} asks for in a column; None where it does not ask for that AU. A side that
    is not named is asked for at 0."""
    unit = str(column).lstrip("LR")
    left, right = (requested.get(f"{side}{unit}") for side in "LR")
    if unit in requested or (left is None and right is None):
        return requested.get(unit)
    left, right = left or 0.0, right or 0.0
    return {f"L{unit}": left, f"R{unit}": right}.get(str(column), (left + right) / 2)


def label(column: Column) -> str:
    """For people: AU12, or L12."""
    return f"AU{column}" if isinstance(column, int) else column
