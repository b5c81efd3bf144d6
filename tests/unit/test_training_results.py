"""Which adapter of a run is taken, and what its logs say, cut off or not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from au_adapter.training.results import (
    find_result,
    read_losses,
    training_hours,
    training_report,
)


def write_result(folder: Path, name: str, step: int) -> None:
    (folder / name).mkdir()
    (folder / name / "training.json").write_text(json.dumps({"step": step}))


def test_the_best_is_taken_and_without_checks_the_last(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="holds no result of a training yet"):
        find_result(tmp_path)
    write_result(tmp_path, "result", 900)
    assert find_result(tmp_path).name == "result"
    write_result(tmp_path, "best", 500)
    assert find_result(tmp_path).name == "best"
    assert find_result(tmp_path, validated=False).name == "result"


def test_losses_are_by_step_and_a_row_that_is_cut_off_is_none(tmp_path: Path) -> None:
    assert read_losses(tmp_path) == []
    rows = [{"step": 1, "loss": 4.0}, {"step": 2, "loss": 3.0}, {"step": 2, "loss": 2.0}]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "log.jsonl").write_text(text + '{"step": 3, "lo')
    assert read_losses(tmp_path) == [4.0, 2.0]
    write_result(tmp_path, "result", 2)
    assert "Loss 4.0000 at first, 2.0000 at last" in training_report(tmp_path, tmp_path / "result")


def test_hours_are_those_of_all_stops(tmp_path: Path) -> None:
    """Of two stops, at 30 and at 40; steps 21 to 30 were lost and done again."""
    assert training_hours(tmp_path) == 0.0
    rows = [(10, 1.0), (20, 1.0), (30, 9.0), (30, 2.0), (40, 3.0)]
    text = "".join(json.dumps({"step": s, "seconds_per_step": t}) + "\n" for s, t in rows)
    (tmp_path / "log.jsonl").write_text(text)
    assert training_hours(tmp_path) * 3600 == pytest.approx(10 + 10 + 20 + 30)


def test_what_was_not_measured_is_named(tmp_path: Path) -> None:
    measures = {"response": {"12": {"0": 0.1, "4": 3.0}}, "estimator": "brightness"}
    for names, said in (
        (["AU7", "left and right apart"], "Not measured: AU7, left and right apart. The estimator"),
        (["left and right apart"], "Not measured: left and right apart."),
        ([], "| 12 | 0.10 | 3.00 |"),
    ):
        folder = tmp_path / str(len(names)) / "result"
        folder.mkdir(parents=True)
        described = {"step": 2, "measures": {**measures, "not_measured": names}}
        (folder / "training.json").write_text(json.dumps(described))
        report = training_report(folder.parent, folder)
        assert report.splitlines()[-1].startswith(said)
        assert ("download face-landmarker" in report) == ("AU7" in names)
