"""Edits on the bundled model, by the shipped workflows on a real server: what stays, what changes.

They hold for any weights; how well the trained ones do is for the benchmarks.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from shipped import api_graph, shipped_server

from tools import face_files
from tools.demo_edits import CHANGES, PEOPLE, draw_edits, measured_edits, report_edits
from tools.server import ComfyServer

PHOTO, SAVE = "3", "12"
Graph = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComfyServer]:
    with shipped_server(tmp_path_factory.mktemp("comfyui")) as server:
        yield server


def quick(name: str, **inputs: Any) -> Graph:
    """A shipped workflow in few steps, the photo shown by node 90; `inputs` are those of node 4."""
    nodes = api_graph(name)
    nodes["9"]["inputs"]["steps"] = 4
    nodes["4"]["inputs"].update(inputs)
    nodes["90"] = {"class_type": "PreviewImage", "inputs": {"images": [PHOTO, 0]}}
    return nodes


def run(server: ComfyServer, nodes: Graph) -> tuple[np.ndarray, np.ndarray]:
    """The photo [H, W, 3] and the edits [N, H, W, 3] of a graph."""
    history = server.wait(server.post_prompt(nodes))
    both = [
        np.stack([np.asarray(picture.convert("RGB"), int) for picture in server.images(history, n)])
        for n in ("90", SAVE)
    ]
    return both[0][0], both[1]


def test_an_edit_stays_within_the_face(server: ComfyServer) -> None:
    photo, (edit,) = run(server, quick("magicface_edit_demo"))
    changed = (photo != edit).any(-1)
    assert 0.05 < changed.mean() < 0.85  # the face fills most of a portrait
    corners = [changed[:8, :8], changed[:8, -8:]]
    assert not any(corner.any() for corner in corners)


def test_a_sweep_begins_with_the_photo_itself(server: ComfyServer) -> None:
    photo, edits = run(server, quick("magicface_sweep"))
    assert len(edits) == 6 and np.array_equal(edits[0], photo)
    steps = [np.abs(edit - photo).mean() for edit in edits[1:]]
    assert min(steps) > 0 and len({edit.tobytes() for edit in edits}) == 6


def test_no_change_is_the_photo_in_every_workflow(server: ComfyServer) -> None:
    for name, nothing in {
        "magicface_edit_demo": {"au6": 0.0, "au12": 0.0},
        "magicface_copy_expression": {"strength": 0.0},
        "magicface_sides": {"notation": ""},
    }.items():
        photo, (edit,) = run(server, quick(name, **nothing))
        assert np.array_equal(edit, photo), name


def test_neutralise_and_copy_are_two_edits(server: ComfyServer) -> None:
    found = [
        run(server, quick("magicface_copy_expression", change=change))[1]
        for change in ("copy", "neutralise")
    ]
    assert not np.array_equal(*found)


def test_a_change_of_one_side_leaves_the_other_nearer_to_the_photo(server: ComfyServer) -> None:
    """Her left is the picture's right: what R12 adds to L12 lies on the picture's left."""
    (one,), (both,) = (
        run(server, quick("magicface_sides", notation=notation))[1]
        for notation in ("L12E", "L12E+R12E")
    )
    difference = np.abs(one - both).mean((0, 2))
    middle = len(difference) // 2
    assert difference[:middle].mean() > 1.5 * difference[middle:].mean()


def test_the_demo_edits_its_people(server: ComfyServer, tmp_path: Path) -> None:
    edits = draw_edits(server, tmp_path)
    assert [len(one.rows) for one in edits] == [len(CHANGES)] * len(PEOPLE)
    edits = measured_edits(edits, [face_files.MODELS])
    report_edits(edits, tmp_path)
    for one in edits:
        photo = Image.open(one.source)
        assert len({path.read_bytes() for path in one.pasted}) == len(CHANGES)
        for row, file in zip(one.rows, one.pasted, strict=True):
            assert tmp_path / row.file == file and Image.open(file).size == photo.size
            assert row.metrics["person_rmse"] < row.metrics["person_rmse_drawn"]
    # Of a head that turned with the smile, the seam of one edit may be larger than what it spares.
    pasted, drawn = (
        [row.metrics[name] for one in edits for row in one.rows]
        for name in ("background_rmse", "background_rmse_drawn")
    )
    assert np.mean(pasted) < 0.8 * np.mean(drawn)
    assert (tmp_path / "edits.png").is_file() and (tmp_path / "edit_report.json").is_file()
