"""The model files: where they are found, and what is said of one that is damaged or another."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import pytest
from face_pictures import FULL_RANGE, SEGMENTER, TASK

from au_adapter.faces import (
    FACE_LANDMARKER,
    FULL_RANGE_DETECTOR,
    PERSON_SEGMENTER,
    FaceLandmarker,
    PersonSegmenter,
    locate,
)
from au_adapter.faces.landmarker import BLENDSHAPES, DETECTOR, GEOMETRY, MESH, read_task
from au_adapter.faces.pose import read_geometry
from au_adapter.faces.tflite import FlatTable, read_graph
from au_adapter.weights.downloads import cache_folder, find_download, sha256

MODELS = {FACE_LANDMARKER: TASK, FULL_RANGE_DETECTOR: FULL_RANGE, PERSON_SEGMENTER: SEGMENTER}


def _task(path: Path, **changed: bytes) -> Path:
    """A .task with some members exchanged."""
    names = {"detector": DETECTOR, "mesh": MESH, "blendshapes": BLENDSHAPES, "geometry": GEOMETRY}
    parts = read_task(TASK) | {names[key]: content for key, content in changed.items()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.download)
def test_the_downloads_are_these_files(model: object) -> None:
    table = find_download(model.download).files
    path = MODELS[model]
    assert table == {model.names[0]: (path.stat().st_size, sha256(path))}
    assert find_download(model.download).licence == "Apache-2.0"


def test_where_it_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AU_ADAPTER_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv(FACE_LANDMARKER.variable, raising=False)
    folder = tmp_path / "models" / "face_analysis"
    cached = cache_folder("face-landmarker") / "face_landmarker.task"
    in_folder = folder / "face_landmarker_v2_with_blendshapes.task"
    named, given = tmp_path / "named.task", tmp_path / "given.task"
    with pytest.raises(FileNotFoundError, match="au-adapter download face-landmarker") as caught:
        locate(FACE_LANDMARKER, folders=[folder])
    assert str(folder) in str(caught.value) and FACE_LANDMARKER.variable in str(caught.value)
    for path in (cached, in_folder, named, given):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        if path == named:
            monkeypatch.setenv(FACE_LANDMARKER.variable, str(named))
        place = given if path == given else None
        assert locate(FACE_LANDMARKER, place, [folder]) == path


def test_what_the_set_up_of_a_clone_fetched_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("AU_ADAPTER_CACHE", FACE_LANDMARKER.variable):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert locate(FACE_LANDMARKER).samefile(TASK)


def test_a_place_that_was_named_is_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(FileNotFoundError, match="The path given is .*nowhere.task, but there is"):
        locate(FACE_LANDMARKER, tmp_path / "nowhere.task", [TASK.parent])
    monkeypatch.setenv(PERSON_SEGMENTER.variable, str(tmp_path / "nowhere.tflite"))
    with pytest.raises(FileNotFoundError, match="AU_ADAPTER_PERSON_SEGMENTER is .*nowhere"):
        locate(PERSON_SEGMENTER, folders=[TASK.parent])


@pytest.mark.parametrize("length", [0, 1000, 1_000_000, 3_758_000])
def test_a_truncated_task(tmp_path: Path, length: int) -> None:
    path = tmp_path / "cut.task"
    path.write_bytes(TASK.read_bytes()[:length])
    with pytest.raises(ValueError, match=rf"cut.task is not a .task file.*\({length} bytes\)"):
        FaceLandmarker(path)


def test_a_zip_of_other_things(tmp_path: Path) -> None:
    path = tmp_path / "other.task"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(DETECTOR, b"not empty")
    with pytest.raises(ValueError, match=f"it lacks {MESH}, {BLENDSHAPES}, {GEOMETRY}"):
        FaceLandmarker(path)


def test_a_task_with_its_networks_exchanged(tmp_path: Path) -> None:
    parts = read_task(TASK)
    cases = {
        "not a face detector known here: it takes pictures of 256": {"detector": parts[MESH]},
        "not the face mesh known here: it gives 52 numbers": {"mesh": parts[BLENDSHAPES]},
        "not the blendshape model known here": {"blendshapes": parts[DETECTOR]},
        "geometry_pipeline.* is not the geometry": {"geometry": parts[GEOMETRY][:5000]},
        "face_landmarks_detector.tflite in .* is damaged": {"mesh": parts[MESH][:100_000]},
        "face_detector.tflite in .* is not a TFLite model": {"detector": b"<html>404</html>"},
    }
    for message, changed in cases.items():
        with pytest.raises(ValueError, match=message):
            FaceLandmarker(_task(tmp_path / "changed.task", **changed))


def test_a_network_in_another_place(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not a face detector known here"):
        FaceLandmarker(TASK, full_range=SEGMENTER)
    with pytest.raises(ValueError, match="full_range_sparse.tflite is not the person segmenter"):
        PersonSegmenter(FULL_RANGE)
    with pytest.raises(ValueError, match="not a TFLite model"):
        PersonSegmenter(TASK)


@pytest.mark.parametrize("part", [5, 40, 4000, 100_000, 249_000])
def test_a_truncated_network(part: int) -> None:
    data = SEGMENTER.read_bytes()[:part]
    with pytest.raises(ValueError, match="x.tflite is (damaged|not a TFLite)"):
        read_graph(data, "x.tflite")


def test_every_wrong_byte_is_an_error_or_harmless() -> None:
    """No other error than ValueError comes out, wherever a file's head is damaged."""
    data = bytearray(SEGMENTER.read_bytes())
    for place in range(8, 20_000, 173):
        broken = data.copy()
        broken[place : place + 4] = struct.pack("<I", 0xFFFFFFF0)
        try:
            read_graph(bytes(broken), "x.tflite")
        except ValueError as error:
            assert "x.tflite" in str(error)


def test_an_unknown_operation_is_named() -> None:
    data = SEGMENTER.read_bytes()
    with pytest.raises(ValueError, match="x.tflite cannot be read: its operation 120 is not one"):
        read_graph(_with_operation(data, 120), "x.tflite")


def _with_operation(data: bytes, number: int) -> bytes:
    """The same file with its first operation code changed."""
    model = FlatTable(data, struct.unpack_from("<I", data)[0])
    code = model.tables(1)[0]
    place = code._place(0) or code._place(3)
    return data[:place] + bytes([number]) + data[place + 1 :]


def test_the_geometry() -> None:
    geometry = read_geometry(read_task(TASK)[GEOMETRY], "geometry")
    assert geometry.vertices.shape == (468, 3) and geometry.triangles.shape == (898, 3)
    assert len(geometry.basis) == len(geometry.weights) == 33
    left, right = geometry.vertices[263], geometry.vertices[33]  # outer corners of the eyes
    assert left[0] == -right[0] > 4 and 8 < geometry.vertices[:, 1].max() < 9
    assert geometry.triangles.max() == 467
