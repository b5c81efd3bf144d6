"""Everyday names of Action Units, and the list of looks."""

from __future__ import annotations

from au_adapter.facs import ALL_UNITS, PRESETS, UNITS
from au_adapter.facs.presets import GROUPS, SAME_LOOK, looks
from au_adapter.facs.units import PLACES


def test_every_slider_has_one_place_and_an_everyday_name() -> None:
    placed = [number for units in PLACES.values() for number in units]
    assert sorted(placed) == list(ALL_UNITS)
    plain = {number: unit.plain for number, unit in UNITS.items() if unit.plain}
    assert plain.keys() == {*ALL_UNITS} and len({*plain.values()}) == len(ALL_UNITS)


def test_a_look_is_listed_once_and_found_by_both_names() -> None:
    names = [look.name for look, _ in looks()]
    others = [name for _, other_names in looks() for name in other_names]
    assert len(names) == len({*names}) and {*names, *others} == PRESETS.keys()
    assert {*others} == SAME_LOOK.keys() and not {*names} & {*others}
    found = {look.name: other_names for look, other_names in looks()}
    assert found["happiness"] == ("happy",) and found["sadness"] == ("sad",)


def test_looks_stand_in_groups() -> None:
    groups = [look.group for look, _ in looks()]
    assert groups == sorted(groups, key=GROUPS.index) and {*groups} == {*GROUPS}
