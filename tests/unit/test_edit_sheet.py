"""The edit sheet of the demo short of its server: graph, numbers, sheet, report."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from au_adapter.data.rendered import load
from au_adapter.evaluation.contact_sheet import PAPER
from au_adapter.facs import SET_A, Keyframes
from tools import face_files
from tools.demo_edits import (
    CHANGES,
    PEOPLE,
    SAMPLE,
    Edit,
    Edits,
    _caption,
    au_error,
    measured_edits,
    report_edits,
)
from tools.demo_graphs import DRAWN, PASTED, edit_graph, load_workflow, node_of
from tools.demo_sheets import captioned_sheet

ROW_KEYS = {
    *("file", "source", "method", "change", "before", "after", "look", "head_pose_rmse"),
    *("background_rmse", "background_rmse_drawn", "person_rmse", "person_rmse_drawn"),
}


def test_the_graph_edits_a_file_in_the_place_of_the_drawn_photo() -> None:
    graph = edit_graph("face.png", ["12D", "4C+15B"], seed=7, steps=3)
    assert node_of(graph, "LoadImage") == {"image": "face.png"}
    for kind, name in (("PrepareMagicFace", "image"), ("PasteFace", "image")):
        assert node_of(graph, f"AUA_{kind}")[name] == ["photo", 0]
    for kind in ("ApplyMagicFace", "PasteFace"):
        assert node_of(graph, f"AUA_{kind}")["au_vector"] == ["changes", 0]
    samplers = [n["inputs"] for n in graph.values() if n["class_type"] == "KSampler"]
    edits = [s for s in samplers if (s["seed"], s["steps"], s["cfg"]) == (7, 3, 3.0)]
    assert len(edits) == 1 and node_of(load_workflow("magicface_sweep"), "AUA_AUSweep")
    outputs = {key for key, node in graph.items() if node["class_type"] == "PreviewImage"}
    assert outputs == {PASTED, DRAWN}


def test_each_change_is_a_frame_of_its_own() -> None:
    inputs = node_of(edit_graph("face.png", CHANGES), "AUA_AUKeyframes")
    frames = Keyframes.parse(inputs["keyframes"], inputs["easing"]).vector(inputs["frames"])
    assert [frames.notation(n) for n in range(len(frames))] == list(CHANGES)


def test_the_people_are_relaxed_different_and_in_no_training_set() -> None:
    renders = load(SAMPLE)
    chosen = list(PEOPLE)
    assert renders.aus[chosen].max() < 0.5 and len({*renders.identity[chosen]}) == len(PEOPLE)
    assert renders.identity[chosen].min() >= 2000000


def test_the_error_is_against_before_and_change() -> None:
    before, after = {"4": 1.0, "12": 0.5}, {"4": 1.5, "12": 2.5}
    row = Edit("", "", {"12": 3.0}, before=before, after=after)
    assert au_error(row, "after") == pytest.approx((0.5**2 + 1.0**2) / 2)
    assert au_error(row, "before") == pytest.approx(3.0**2 / 2)


@pytest.fixture(scope="module")
def edits(tmp_path_factory: pytest.TempPathFactory) -> list[Edits]:
    """Two people: edits that are the photo, and, before pasting, a darker picture."""
    folder, renders, found = tmp_path_factory.mktemp("demo"), load(SAMPLE), []
    (folder / "edits").mkdir()
    for number in PEOPLE[:2]:
        files = [folder / "edits" / f"{number}_{kind}.png" for kind in ("photo", "edit", "drawn")]
        for file in files:
            Image.fromarray(renders.images[number]).save(file)
        Image.fromarray(renders.images[number] // 2).save(files[2])
        rows = [Edit("", "", {"12": 4.0}) for _ in CHANGES]
        found.append(Edits(files[0], rows, files[1:2] * len(CHANGES), files[2:] * len(CHANGES)))
    return measured_edits(found, [face_files.MODELS])


def test_an_edit_that_is_the_photo_has_left_everything_alone(edits: list[Edits]) -> None:
    for row in (row for one in edits for row in one.rows):
        assert row.json().keys() == ROW_KEYS
        assert row.before == row.after and [*row.before] == [*map(str, SET_A)]
        assert row.metrics["background_rmse"] == row.metrics["person_rmse"] == 0
        assert row.metrics["background_rmse_drawn"] > 0.1 < row.metrics["person_rmse_drawn"]
        assert row.metrics["look"] < 1e-3 and row.metrics["head_pose_rmse"] < 1e-3
        assert au_error(row, "after") == au_error(row, "before") > 1


def test_the_report_has_the_rows_and_the_sheet_every_picture(
    edits: list[Edits], tmp_path: Path
) -> None:
    report_edits(edits, tmp_path)
    content = json.loads((tmp_path / "edit_report.json").read_text())
    assert content["schema"] == 1 and content["rows"] == [
        row.json() for one in edits for row in one.rows
    ]
    assert "no face recognition" in content["look"]
    sheet = np.asarray(Image.open(tmp_path / "edits.png"))
    photo = np.asarray(Image.open(edits[1].source))
    places = np.argwhere((sheet[:-127, :-127] == photo[0, 0]).all(-1))
    shown = [p for p in places if np.array_equal(sheet[p[0] :, p[1] :][:128, :128], photo)]
    assert len(shown) == 1 + len(CHANGES)  # the photo, and its edits


def test_a_face_that_was_lost_is_null_and_a_dash(edits: list[Edits], tmp_path: Path) -> None:
    grey = tmp_path / "grey.png"
    Image.new("RGB", (128, 128), "grey").save(grey)
    rows, files = [Edit("", "", {"12": 4.0})] * len(CHANGES), [grey] * len(CHANGES)
    (lost,) = measured_edits([Edits(edits[0].source, rows, files, files)], [face_files.MODELS])
    first = lost.rows[0]
    assert first.metrics["look"] is first.metrics["head_pose_rmse"] is None
    assert first.metrics["background_rmse"] is first.metrics["background_rmse_drawn"] is None
    assert _caption(first).splitlines()[1] == "look -, pose -"
    assert _caption(first).endswith("background - (-)")
    report_edits([lost], tmp_path)


def test_captions_stand_below_their_pictures() -> None:
    cells = [(Image.new("RGB", (160, 20), colour), "a\nb") for colour in ("red", "blue")]
    sheet = captioned_sheet([cells, cells], ["first", "second"], "title")
    red = [p for p in np.argwhere((np.asarray(sheet) == (255, 0, 0)).all(-1))]
    assert len(red) == 2 * 160 * 20
    assert sheet.getpixel((sheet.width - 1, sheet.height - 1)) == PAPER
