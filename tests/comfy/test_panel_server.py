"""What the server tells the AU panel, and what AU Estimator leaves in the history for it."""

from __future__ import annotations

import pytest
from au_adapter_pack.nodes.panel import facs_tables, known_by
from au_adapter_pack.nodes.read_faces import ShownReadings

from au_adapter import AUVector
from au_adapter.estimators.reading import Reading, ReadingSet
from au_adapter.facs import ALL_UNITS, CONFLICTS, SET_A


def test_the_tables_hold_what_the_panel_reads() -> None:
    tables = facs_tables()
    assert tables["units"][12]["plain"] == "Smile" and not tables["units"][26]["bilateral"]
    assert len(tables["conflicts"]) == len(CONFLICTS)
    assert {"6": 3.0, "12": 3.0} in [look["forms"]["full"] for look in tables["looks"]]


def test_a_loader_is_told_what_its_adapter_knows() -> None:
    assert known_by({"node": "AUA_LoadDemoModel"}) == {"units": SET_A, "sides": False}
    file = {"node": "AUA_LoadAUAdapter", "file": "demo_17_left_right.safetensors"}
    found = known_by(file)
    assert sorted(found["units"]) == list(ALL_UNITS) and found["sides"]
    with pytest.raises(FileNotFoundError):
        known_by({"file": "no_such_adapter.safetensors"})


def test_readings_stand_in_the_history_beside_the_text() -> None:
    face = Reading(1, 0, (0, 0, 8, 8), 0.9, AUVector.parse("12:3.25+L4D"))
    shown = ShownReadings("1 face", ReadingSet("test", 2, (face,))).as_dict()
    assert shown["text"] == ("1 face",)
    (readings,) = shown["au_readings"]
    assert readings["estimator"] == "test" and readings["images"][0] == {"faces": []}
    (found,) = readings["images"][1]["faces"]
    assert found["index"] == 0 and found["aus"] == {"L4": 4.0, "R4": 0.0, "12": 3.25}
