"""The report of a run: right numbers by hand, every picture accounted for."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path

import pytest

from au_adapter.evaluation.records import Row, RunHeader
from au_adapter.evaluation.report import Report
from au_adapter.evaluation.report import build_report as build_typed

HEADER = {
    "schema": 1,
    "protocol": "small",
    "title": "Small",
    "fingerprint": "0",
    "scale": "absolute",
    "units": [4, 12],
    "rows": 6,
    "references": 1,
    "published": {"estimator": "LibreFace", "single": {"au_mse": 4.71}},
    "ours": ["the prompts"],
    "estimator": "ours",
    "method": "adapter",
    "settings": {"strength": 1.0},
}


def record(name: str, group: str, asked: dict, seen: tuple | None, **more) -> dict:
    return {
        "id": name,
        "group": group,
        "requested": asked,
        "seed": 0,
        "reference": "r",
        "prompt": "a man",
        "source": "",
        "target": "",
        "method": "adapter",
        "faces": 1 if seen else 0,
        "measured": dict(zip(("4", "12"), seen, strict=True)) if seen else None,
        **more,
    }


def build_report(header: dict, records: list[dict]) -> Report:
    return build_typed(RunHeader.from_json(header), [Row.from_json(each) for each in records])


RECORDS = [
    record("r", "reference", {}, (1.0, 0.5)),
    record("a", "single", {"4": 3.0}, (1.0, 1.0), metrics={"clip_i": 0.9}),
    record("b", "single", {"12": 2.0}, (0.0, 2.0), metrics={"clip_i": None}, faces=2),
    record("c", "single", {"12": 5.0}, None, metrics={"clip_i": 0.5}),
    record("d", "combination", {"4": 1.0, "12": 1.0}, (1.0, 3.0), metrics={"clip_i": 0.6}),
]


def values(report: Report, group: str) -> dict[str, tuple[float, int]]:
    return {
        line.metric: (pytest.approx(line.value), line.count)
        for line in report.lines
        if line.group == group
    }


def test_numbers_by_hand() -> None:
    report = build_report(HEADER, RECORDS)
    # a: 4 prompted, (4 + 1) / 2 over all; b: 0 and 0.
    assert values(report, "single") == {
        "au_mse": (2.0, 2),
        "au_mse_all": (1.25, 2),
        "clip_i": (0.7, 2),
    }
    # d asks for both AUs: one error, (0 + 4) / 2, and ICC is undefined with one picture.
    combination = {line.metric: line for line in report.lines if line.group == "combination"}
    assert combination["au_mse"].value == pytest.approx(2) and "au_mse_all" not in combination
    assert math.isnan(combination["icc_3_1"].value)
    assert [line.published for line in report.lines if line.group == "single"] == [4.71, None, None]


def test_every_picture_is_accounted_for() -> None:
    counts = build_report(HEADER, RECORDS).counts
    assert counts["asked for"] == 6 and counts["made"] == 4 and counts["missing"] == 2
    assert counts["face not found"] == 1 and counts["scored for AUs"] == 3
    assert counts["several faces, the most confident one read"] == 1


def test_a_change_is_added_to_what_the_reference_shows() -> None:
    header = {**HEADER, "scale": "change"}
    report = build_report(header, RECORDS)
    # Targets (4, .5), (1, 2.5), (2, 1.5); seen (1, 1), (0, 2), (1, 3).
    expected = (9 + 0.25 + 1 + 0.25 + 1 + 2.25) / 6
    assert values(report, "all")["au_mse"] == (expected, 3)
    lost = build_report(header, [record("r", "reference", {}, None), *RECORDS[1:]])
    assert lost.counts["face not found in the reference"] == 1
    assert lost.counts["scored for AUs"] == 0
    assert "au_mse" not in values(lost, "all")


def test_a_unit_that_the_estimator_does_not_read_is_counted() -> None:
    blind = {**RECORDS[1], "id": "e", "measured": {"4": 3.0}}
    counts = build_report(HEADER, [*RECORDS, blind]).counts
    assert counts["an AU not read by the estimator"] == 1 and counts["scored for AUs"] == 3


def test_each_au_is_scored_over_the_rows_that_ask_for_it() -> None:
    four, twelve, mean = build_report(HEADER, RECORDS).tables["all"]
    assert (four.unit, four.count, four.mse) == (4, 2, pytest.approx(2))
    assert (twelve.unit, twelve.count, twelve.mse) == (12, 2, pytest.approx(2))
    assert mean.unit is None and mean.mse == pytest.approx(2)


def test_table_json_and_csv(tmp_path: Path) -> None:
    report = build_report(HEADER, RECORDS)
    paths = report.write(tmp_path / "report")
    text, data, table = (path.read_text(encoding="utf-8") for path in paths)
    assert "| single | au_mse | 2.000 | intensity^2 | lower | 2 | ours | 4.710 |" in text
    assert "| face not found | 1 |" in text and "- the prompts" in text
    assert "Estimator: ours." in text and "not defined" in text
    parsed = json.loads(data)
    assert parsed["estimator"] == "ours" and len(parsed["records"]) == 5
    assert parsed["per_unit"]["combination"][0]["icc"] is None
    rows = list(csv.DictReader(io.StringIO(table)))
    assert rows[1]["requested_4"] == "3.0" and rows[1]["measured_12"] == "1.0"
    assert rows[3]["faces"] == "0" and rows[3]["measured_4"] == ""
    assert rows[1]["clip_i"] == "0.9"


def test_a_picture_that_asks_for_nothing_counts_over_all_aus_only() -> None:
    report = build_report(HEADER, [RECORDS[0], RECORDS[1], record("n", "single", {}, (0.0, 2.0))])
    # n alone over all AUs: (0 + 4) / 2; a: (4 + 1) / 2.
    assert values(report, "single")["au_mse"] == (4.0, 1)
    assert values(report, "single")["au_mse_all"] == (2.25, 2)
    neutral = build_report(HEADER, [record("n", "single", {}, (0.0, 2.0))])
    assert values(neutral, "all") == {"au_mse_all": (2.0, 1)} and neutral.tables["all"] == []


def test_a_line_names_its_network_and_what_is_missing_is_said() -> None:
    header = {**HEADER, "networks": {"clip_i": "CLIP"}, "not_measured": {"lpips": "needs weights"}}
    report = build_report(header, RECORDS)
    found = {(line.metric, line.estimator) for line in report.lines}
    assert {("clip_i", "CLIP"), ("au_mse", "ours")} <= found
    assert "- lpips: needs weights" in report.markdown()


def test_without_published_figures_there_is_no_column_for_them() -> None:
    text = build_report({**HEADER, "published": {}}, RECORDS).markdown()
    assert "published" not in text and "paper" not in text.partition("\n\n| pictures")[0]


def test_a_run_that_has_not_begun() -> None:
    report = build_report(HEADER, [])
    assert report.lines == () and report.counts["missing"] == 6
    assert "| missing | 6 |" in report.markdown()
