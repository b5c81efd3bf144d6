"""`prepare bp4d`: frames and tables of occurrences to shards, the reference as VQ-AUFace's."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner
from labelled_faces import write_picture

from au_adapter.cli import main
from au_adapter.data.bp4d import UNITS, BP4DSource
from au_adapter.data.prepare_shards import prepare
from au_adapter.data.shards import find_shards, read_shard
from au_adapter.facs import AUVector
from au_adapter.training.reference_pairs import ReferencePairs

COLUMNS = range(1, 100)  # the tables name many AUs that nobody coded


def write_video(folder: Path, name: str, frames: Sequence[dict[int, int]], first: int = 1) -> None:
    """A table of occurrences and its frames; {12: 1} is a frame with AU12, {6: 9} unknown."""
    (folder / "labels").mkdir(parents=True, exist_ok=True)
    person, task = name.split("_")
    with (folder / "labels" / f"{name}.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([0, *COLUMNS])
        for number, frame in enumerate(frames, first):
            writer.writerow([number, *(frame.get(u, 0 if u in UNITS else 9) for u in COLUMNS)])
            write_picture(folder / "frames" / person / task / f"{number:04d}.jpg", 9 * number)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_video(tmp_path, "F001_T1", [{12: 1, 6: 1}, {}, {4: 1}, {}, {15: 1, 17: 1}])
    write_video(tmp_path, "F001_T2", [{6: 9}, {1: 1}], first=6)
    write_video(tmp_path, "M002_T1", [{4: 1}, {7: 1}], first=10)
    return tmp_path


def prepared(folder: Path) -> list[dict]:
    output = folder / "shards"
    prepare("bp4d", folder / "frames", folder / "labels", output)
    return [json.loads(p["json"]) for s in find_shards(output) for p in read_shard(s)]


def test_active_frames_and_one_reference_for_each_person_stay(folder: Path) -> None:
    labels = prepared(folder)
    active = [(f["identity"], f["task"], f["frame"]) for f in labels if any(f["units"].values())]
    assert active == [("F001", "T1", 1), ("F001", "T1", 3), ("F001", "T1", 5), ("F001", "T2", 7),
                      ("M002", "T1", 10), ("M002", "T1", 11)]  # fmt: skip
    references = {f["identity"]: f["frame"] for f in labels if f["reference"]}
    assert references["F001"] in (2, 4) and references["M002"] == 10  # nobody relaxed: the first
    assert len(labels) == 7


def test_a_label_says_what_occurs_and_its_caption_says_the_same(folder: Path) -> None:
    for label in prepared(folder):
        assert label["occurrence"] is True
        assert {*label["units"].values()} <= {0.0, 3.0}
        said = AUVector.from_text(label["caption"]).dict()
        assert said == {unit: value for unit, value in label["units"].items() if value}


def test_training_pairs_take_the_reference_that_was_chosen(folder: Path) -> None:
    labels = prepared(folder)
    pairs = ReferencePairs([folder / "shards"], 32, 0, 1, 8)
    for label in labels:
        if label["reference"]:
            grey = pairs.references[label["identity"]].mean()
            assert grey == pytest.approx(9 * label["frame"], abs=2)


def test_the_lot_hangs_on_the_seed(folder: Path) -> None:
    write_video(folder, "F003_T1", [{} for _ in range(9)])
    chosen = {
        BP4DSource(folder / "frames", folder / "labels", seed).references["F003"]
        for seed in range(6)
    }
    assert len(chosen) > 2


def test_frames_that_are_missing_are_counted_and_no_reference(folder: Path) -> None:
    (folder / "frames" / "M002" / "T1" / "0010.jpg").unlink()
    output = folder / "shards"
    card = prepare("bp4d", folder / "frames", folder / "labels", output)
    dropped = {step["step"]: step["dropped"] for step in card["steps"]}
    assert dropped["no such file"] == 1 and dropped["no label"] == 1
    labels = [json.loads(p["json"]) for s in find_shards(output) for p in read_shard(s)]
    assert [f["frame"] for f in labels if f["identity"] == "M002" and f["reference"]] == [11]


def test_tables_that_are_none_are_named(folder: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no table such as F001_T1.csv.*AU_OCC"):
        BP4DSource(folder / "frames", folder / "frames")
    with pytest.raises(FileNotFoundError, match="no folder of pictures"):
        BP4DSource(folder / "none", folder / "labels")
    write_video(folder, "F004_T1", [{12: 4}])
    with pytest.raises(ValueError, match="line 2 of .*F004_T1.csv: AU12 is 4, expected 1"):
        prepared(folder)
    (folder / "labels" / "F004_T1.csv").write_text("frame,1,2\n1,0,0\n")
    with pytest.raises(ValueError, match="F004_T1.csv has no column of AU4"):
        list(BP4DSource(folder / "frames", folder / "labels").faces())


def test_the_command_line_prepares_it(folder: Path) -> None:
    places = [str(folder / "frames"), str(folder / "labels"), "--output", str(folder / "out")]
    answer = CliRunner().invoke(main, ["prepare", "bp4d", *places, "--size", "16"])
    assert answer.exit_code == 0 and "7 faces are in" in answer.output
    wrong = CliRunner().invoke(main, ["prepare", "bp4d", *places, "--fold", "1"])
    assert "fold means nothing for bp4d, which has no options" in wrong.output
