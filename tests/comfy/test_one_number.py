"""The demo, AU Evaluator and `au-adapter evaluate` give one number for the same pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from au_adapter_pack.nodes.compat import folder_paths
from face_pictures import SEGMENTER, TASK
from PIL import Image
from sampling import run

from au_adapter import AUVector
from au_adapter.data.rendered import load
from au_adapter.estimators import open_estimator
from au_adapter.evaluation.evaluation_run import evaluate
from tools import face_files
from tools.demo_edits import MEASURES, SAMPLE, Edit, Edits, au_error, measured_edits

PHOTO, EDITED = 52, (53, 54, 55)  # four renders of one person, as a photo and its edits
CHANGES = ("12D", "1C+2C", "4D")


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The photo, then the edits; Google's models where everybody finds them."""
    monkeypatch.setenv("AU_ADAPTER_FACE_LANDMARKER", str(TASK))
    monkeypatch.setenv("AU_ADAPTER_PERSON_SEGMENTER", str(SEGMENTER))
    monkeypatch.setitem(
        folder_paths.folder_names_and_paths, "face_analysis", ([str(tmp_path)], {".task"})
    )
    images, found = load(SAMPLE).images, []
    for number in (PHOTO, *EDITED):
        found.append(tmp_path / f"{number}.png")
        Image.fromarray(images[number]).save(found[-1])
    return found


def by_the_demo(photo: Path, edited: list[Path]) -> Edits:
    asked = [AUVector.parse(change).dict() for change in CHANGES]
    rows = [Edit(p.name, photo.name, change) for p, change in zip(edited, asked, strict=True)]
    (found,) = measured_edits([Edits(photo, rows, edited, edited)], [face_files.MODELS])
    return found


def by_the_node(photo: Path, edited: list[Path]) -> dict:
    pixels = [torch.from_numpy(np.array(Image.open(p))).float() / 255 for p in (photo, *edited)]
    report, *_ = run(
        "AUA_AUEvaluator",
        images=torch.stack(pixels[1:]),
        au_vector=AUVector.stack([AUVector.parse(change) for change in CHANGES]),
        source=pixels[0][None],
        face_reader=open_estimator("demo"),
        request="changes of the source",
    )
    return json.loads(report.json())


def by_the_shell(photo: Path, edited: list[Path], output: Path) -> dict:
    table = photo.with_suffix(".csv")
    lines = [f"{p.name},{change},{photo.name}" for p, change in zip(edited, CHANGES, strict=True)]
    table.write_text("\n".join(["file,aus,source", *lines]) + "\n")
    evaluate(str(photo.parent), output, estimator="demo", requested=table, changes=True)
    return json.loads((output / "report.json").read_text())


def test_three_ways_to_one_number(files: list[Path], tmp_path: Path) -> None:
    photo, *edited = files
    demo = by_the_demo(photo, edited)
    node, outside = by_the_node(photo, edited), by_the_shell(photo, edited, tmp_path / "run")
    errors = [au_error(row, "after") for row in demo.rows]
    for report in (node, outside):
        (error,) = (x for x in report["lines"] if (x["metric"], x["group"]) == ("au_mse", "all"))
        assert error["value"] == pytest.approx(np.mean(errors), abs=2e-3) and error["count"] == 3
        found = [row["metrics"] for row in report["records"] if row["group"] != "reference"]
        for row, metrics in zip(demo.rows, found, strict=True):
            for name in MEASURES:
                assert row.metrics[name] == pytest.approx(metrics[name], abs=1e-4)
                assert metrics[name] > 0
    pairs = zip(node["records"], outside["records"], strict=True)
    for ours, theirs in ((a.get("metrics"), b.get("metrics")) for a, b in pairs):
        assert ours == (theirs and pytest.approx(theirs, abs=1e-4))
