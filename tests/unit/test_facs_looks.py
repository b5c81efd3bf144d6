"""Everyday names of Action Units, and the list of looks."""

from __future__ import annotations

from au_adapter.facs import ALL_UNITS, PRESETS
from au_adapter.facs.looks import GROUPS, SAME_LOOK, looks
from au_adapter.facs.plain import PLACES, PLAIN_NAMES


def test_every_slider_has_one_place_and_an_everyday_name() -> None:
    placed = [number for units in PLACES.values() for number in units]
    assert sorted(placed) == list(ALL_UNITS) and PLAIN_NAMES.keys() == {*ALL_UNITS}
    assert len({*PLAIN_NAMES.values()}) == len(ALL_UNITS)


def test_a_look_is_listed_once_and_found_by_both_names() -> None:
    names = [look.preset.name for look in looks()]
    others = [name for look in looks() for name in look.other_names]
    assert len(names) == len({*names}) and {*names, *others} == PRESETS.keys()
    assert {*others} == SAME_LOOK.keys() and not {*names} & {*others}
    found = {look.preset.name: look.other_names for look in looks()}
    assert found["happiness"] == ("happy",) and found["sadness"] == ("sad",)


def test_looks_stand_in_groups() -> None:
    groups = [look.group for look in looks()]
    assert groups == sorted(groups, key=GROUPS.index) and {*groups} == {*GROUPS}
