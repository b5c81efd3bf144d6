"""Requests, rows and headers: JSON both ways, and the names that scripts read."""

from __future__ import annotations

import json
from dataclasses import fields

from au_adapter.evaluation.records import Request, Row, RunHeader
from tools.demo_edits import Edit

ASKED = Request("01_12C", "single", {"12": 3.0}, 7, "01_reference", prompt="a man")
ROW = Row(**vars(ASKED), method="adapter", faces=1, measured={"12": 2.5}, metrics={"clip_i": 0.9})
HEADER = RunHeader(
    protocol="small",
    title="Small",
    fingerprint="0",
    scale="absolute",
    units=(4, 12),
    rows=6,
    references=1,
    published={"estimator": "LibreFace"},
    ours=("the prompts",),
    estimator="ours",
    method="adapter",
    settings={"strength": 1.0},
)


def test_a_row_is_a_flat_line_and_comes_back() -> None:
    line = json.loads(json.dumps(ROW.json()))
    assert Row.from_json(line) == ROW
    assert {name.name for name in fields(Request)} < line.keys()
    assert line["requested"] == {"12": 3.0} and line["metrics"] == {"clip_i": 0.9}
    nothing = Row(**vars(ASKED), method="adapter")
    assert "metrics" not in nothing.json() and nothing.faces is nothing.measured is None
    older = {k: v for k, v in line.items() if k not in ("finite", "turned")}
    assert Row.from_json(older) == ROW


def test_a_row_of_the_demo_comes_back_with_its_numbers() -> None:
    answer = json.loads(json.dumps(ROW.answer()))
    assert answer == {
        "file": "", "method": "adapter", "prompt": "a man", "seed": 7,
        "requested": {"12": 3.0}, "measured": {"12": 2.5}, "clip_i": 0.9,
    }  # fmt: skip
    assert Row.from_answer(answer).answer() == answer


def test_a_header_comes_back_and_names_sides_only_where_there_are_some() -> None:
    data = json.loads(json.dumps(HEADER.json()))
    assert RunHeader.from_json(data) == HEADER and data["schema"] == 1
    assert not {"sides", "columns"} & data.keys() and HEADER.scored == (4, 12)


def test_metrics_of_an_edit_stand_beside_its_fields() -> None:
    edit = Edit("e.png", "p.png", {"12": 3.0}, metrics={"look": 0.1, "person_rmse": None})
    assert edit.json()["look"] == 0.1 and edit.json()["person_rmse"] is None
    assert "metrics" not in edit.json() and edit.json()["method"] == "magicface"
