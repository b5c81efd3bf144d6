"""The tables: Action Units, recipes, conflicts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import au_adapter
from au_adapter import AUVector
from au_adapter.facs import (
    ALL_UNITS,
    CONFLICTS,
    PRESETS,
    SET_A,
    SET_B_EXTRA,
    UNITS,
    check,
    describe_conflicts,
    preset,
)
from au_adapter.facs.units import unit

DESCRIBED = (1, 2, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 20, 22, 23, 24, 25, 26, 27)


def test_the_library_loads_a_module_when_its_name_is_used() -> None:
    code = "import sys, au_adapter; assert 'torch' not in sys.modules; au_adapter.AUVector"
    root = Path(au_adapter.__file__).parents[1]
    subprocess.run([sys.executable, "-c", code], cwd=root, check=True, timeout=120)
    assert "load_adapter" in dir(au_adapter) and au_adapter.__version__ == "0.1.0"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = au_adapter.nothing


def test_the_sets() -> None:
    assert SET_A == (1, 2, 4, 5, 6, 9, 12, 15, 17, 20, 25, 26)
    assert SET_B_EXTRA == (7, 10, 14, 23, 24)
    assert ALL_UNITS == (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 24, 25, 26)


def test_every_unit_is_described() -> None:
    assert {*DESCRIBED, 28, 43, 45, 46} <= set(UNITS)
    for number in (*DESCRIBED, 28, 43):
        found = unit(number)
        assert found.number == number and found.name and found.region and len(found.seen) > 25
        assert found.muscles and all(found.muscles)
    with pytest.raises(ValueError, match="no Action Unit 3;"):
        unit(3)


def test_every_preset_is_a_face() -> None:
    for name, recipe in PRESETS.items():
        assert recipe.name == name and recipe.source
        recipe.vector()
        if recipe.set_a:
            assert set(recipe.vector("set_a").units) <= set(SET_A)
        if recipe.set_b:
            assert set(recipe.vector("set_b").units) <= set(ALL_UNITS) - {5, 9, 20, 25, 26}


def test_no_preset_asks_for_what_excludes_itself() -> None:
    for recipe in PRESETS.values():
        for form in ("full", "set_a", "set_b"):
            if getattr(recipe, form):
                assert not [found for found in check(recipe.vector(form)) if found.kind == "X"]


def test_presets_of_the_literature() -> None:
    assert preset("surprise").full == "1+2+5B+26"
    assert preset("contempt").vector().dict() == {"R12": 1.0, "R14": 1.0}
    assert preset("sadly disgusted").vector("set_a").units == (4, 9)
    assert preset("fearful").variants == (2, 5, 26)
    with pytest.raises(ValueError, match="cannot be made with set_a"):
        preset("contempt").vector("set_a")
    with pytest.raises(ValueError, match="no preset 'joy'"):
        preset("joy")
    with pytest.raises(ValueError, match="no form"):
        preset("fear").vector("name")


def _found(notation: str) -> list[tuple[str, str]]:
    return [
        ("+".join(map(str, conflict.units)), conflict.kind)
        for conflict in check(AUVector.parse(notation))
    ]


@pytest.mark.parametrize(
    ("notation", "expected"),
    [
        ("", []),
        ("6+12+25", []),
        ("1+4", [("1+4", "N")]),
        ("1+2+4", [("1+2+4", "N")]),
        ("5+43", [("5+43", "X")]),
        ("24+25", [("24+25", "X")]),
        ("9+10", [("9+10", "M")]),
        ("4+5", [("4+5", "M")]),
        ("1+2+4+5", [("1+2+4", "N")]),
        ("6+12+15+17", [("6+12+15+17", "N")]),
        ("12+15:0", []),
        ("12+15:-2", []),
        ("L12+R15", []),
    ],
)
def test_conflicts(notation: str, expected: list[tuple[str, str]]) -> None:
    assert _found(notation) == expected


def test_a_conflict_knows_its_face_and_side() -> None:
    vector = AUVector.stack([AUVector.parse("12"), AUVector.parse("12+L15")])
    (conflict,) = check(vector)
    assert (conflict.face, conflict.side, conflict.kind) == (1, "left", "N")
    assert str(conflict).startswith("12+15 (left): ")


def test_rules_name_units_that_exist() -> None:
    for rule in CONFLICTS:
        assert len(rule.units) >= 2 and set(rule.units) <= set(UNITS) and rule.reason


def test_conflicts_as_sentences() -> None:
    """Those that exclude each other first, each once, with its faces where not all have it."""
    faces = AUVector.stack([AUVector.parse("15C+17C"), AUVector.parse("15C+17C+L18C+L20C")])
    assert describe_conflicts(faces) == [
        "exclude each other: 18+20 (left): the mouth cannot grow narrow and long: keep one of them "
        "(1 of 2 faces)",
        "make a new look: 15+17: corners down and chin up: an inverted U with the lower lip pushed "
        "out",
        "make a new look: 15+20 (left): the corners go down and sideways at once (1 of 2 faces)",
    ]
    assert describe_conflicts(AUVector.parse("6C+12D")) == []
