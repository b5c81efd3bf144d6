"""What the server tells the AU panel, and what AU Estimator leaves in the history for it."""

from __future__ import annotations

import pytest
import torch
from au_adapter_pack.nodes.panel import facs_tables, known_by
from sampling import NODE, run

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
    demo = run("AUA_LoadFaceReader", file="demo regressor")[0]
    output = NODE["AUA_AUEstimator"].execute(image=torch.rand(2, 32, 32, 3), face_reader=demo)
    (text,), (readings,) = output.ui["text"], output.ui["au_readings"]
    assert "2 faces in 2 pictures" in text and readings == output.args[1].to_dict()
    (found,) = readings["images"][1]["faces"]
    assert found["index"] == 0 and set(found["aus"]) == {str(unit) for unit in SET_A}
