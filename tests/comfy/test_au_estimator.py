"""Load Face Reader and AU Estimator: in this process, and in graphs on a real server."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from face_pictures import TASK, picture
from PIL import Image
from sampling import NODE, run

from au_adapter import AUVector
from au_adapter.estimators.reading import ReadingSet
from au_adapter.facs import ALL_UNITS, SET_A
from tools import face_files
from tools.server import ComfyServer, PromptError

ASTRONAUT, GROUP = "astronaut.png", "multi_face.jpg"


@pytest.fixture(autouse=True)
def landmarker_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AU_ADAPTER_FACE_LANDMARKER", str(TASK))


def read(image: torch.Tensor, **inputs: object) -> tuple[AUVector, ReadingSet, dict, torch.Tensor]:
    return run("AUA_AUEstimator", image=image, **inputs)


def test_slots_are_in_their_fixed_order() -> None:
    schema = NODE["AUA_AUEstimator"].define_schema()
    assert [field.io_type for field in schema.inputs[:4]] == [
        *("IMAGE", "FACE_READER", "IMAGE", "FACE_LANDMARKS")
    ]
    assert [output.io_type for output in schema.outputs] == [
        *("AU_VECTOR", "AU_READING", "FACE_LANDMARKS", "IMAGE")
    ]
    loader = NODE["AUA_LoadFaceReader"].define_schema()
    assert loader.inputs[0].id == "file" and loader.outputs[0].io_type == "FACE_READER"


def test_a_smile_becomes_a_vector_readings_landmarks_and_a_drawing() -> None:
    aus, seen, landmarks, drawn = read(picture(ASTRONAUT))
    assert aus.units == SET_A and len(aus) == 1
    values = dict(zip(aus.units, aus.values[0].tolist(), strict=True))
    assert max(values, key=values.get) == 12 and values[12] > 3
    assert seen.pictures == 1 and len(seen.readings) == 1 and len(seen.readings[0].aus.units) == 22
    assert [len(faces) for faces in landmarks["frames"]] == [1]
    assert drawn.shape == picture(ASTRONAUT).shape
    assert ((drawn - picture(ASTRONAUT)).abs() > 0.1).any(-1).sum() > 1000


def test_the_units_asked_for() -> None:
    sets, _, _, _ = read(picture(ASTRONAUT), units="17 (sets A and B)")
    every, seen, _, _ = read(picture(ASTRONAUT), units="all that it reads")
    assert sets.units == ALL_UNITS and every == seen.readings[0].aus


def test_a_batch_keeps_its_places(caplog: pytest.LogCaptureFixture) -> None:
    images = picture(ASTRONAUT).repeat(4, 1, 1, 1)
    images[1], images[2, 0, 0, 0] = 0.5, float("nan")
    with caplog.at_level("WARNING", "au_adapter"):
        aus, seen, landmarks, drawn = read(images)
    assert len(aus) == 4 and [len(frame) for frame in landmarks["frames"]] == [1, 0, 0, 1]
    assert not aus.values[1].any() and not aus.values[2].any()
    assert torch.allclose(aus.values[0], aus.values[3], atol=1e-4)
    assert "2 faces in 4 pictures; no face in 2 (number 2, 3)" in caplog.text
    assert torch.isfinite(drawn).all()


def test_faces_turned_away_are_counted_in_the_text() -> None:
    """The landmarks are given a turn by hand: no photo or render at hand is turned so far."""
    landmarks = read(picture(ASTRONAUT))[2]
    (face,) = landmarks["frames"][0]
    turn = np.array([[0.5, 0, 0.866, 0], [0, 1, 0, 0], [-0.866, 0, 0.5, 0], [0, 0, 0, 1]])
    away = {**face, "transformation_matrix": turn}
    given = {**landmarks, "frames": [[face], [away], [away]]}
    images = picture(ASTRONAUT).repeat(3, 1, 1, 1)
    output = NODE["AUA_AUEstimator"].execute(image=images, face_landmarks=given)
    assert "2 turned further than 40 degrees (number 2, 3): guesses" in str(output.ui)


def test_a_tiny_picture_and_none() -> None:
    aus, seen, _, drawn = read(torch.rand(1, 1, 1, 3))
    assert len(aus) == 1 and not aus.values.any() and seen.readings == ()
    assert drawn.shape == (1, 1, 1, 3)


def test_faces_beyond_the_first_can_be_chosen() -> None:
    reader = run("AUA_LoadFaceReader", file="face_landmarker.task", levels=2)[0]
    second, seen, _, _ = read(picture(GROUP), face_reader=reader, face=1)
    assert len(seen.readings) == 5
    assert second == seen.readings[1].aus.select(SET_A, strict=False)
    ninth, _, _, _ = read(picture(GROUP), face_reader=reader, face=8)
    assert not ninth.values.any()


def test_landmarks_that_were_found_before_need_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    first, _, landmarks, _ = read(picture(ASTRONAUT))
    monkeypatch.setenv("AU_ADAPTER_FACE_LANDMARKER", "gone.task")
    again, _, passed, _ = read(picture(ASTRONAUT), face_landmarks=landmarks)
    assert passed is landmarks and (again.values - first.values).abs().max() < 0.05
    photo = picture(ASTRONAUT)
    for other in (photo.repeat(2, 1, 1, 1), photo[:, ::2, ::2]):
        with pytest.raises(ValueError, match=r"are of 1 picture\(s\) of .*: connect the same"):
            read(other, face_landmarks=landmarks)
    with pytest.raises(FileNotFoundError, match="gone.task, but there is no such file"):
        read(picture(ASTRONAUT))


def test_a_neutral_photo_of_oneself_takes_the_expression_away() -> None:
    plain, _, _, _ = read(picture(ASTRONAUT))
    changed, seen, _, _ = read(picture(ASTRONAUT), neutral=picture(ASTRONAUT))
    assert seen.estimator.endswith("relative to a neutral photo")
    assert changed.values.sum() < 0.5 * plain.values.sum()
    with pytest.raises(ValueError, match="AU Estimator: The neutral photo must show one"):
        read(picture(ASTRONAUT), neutral=torch.zeros(1, 64, 64, 3))


def test_other_readers() -> None:
    table = run("AUA_LoadFaceReader", file="face_landmarker.task", method="blendshape table")[0]
    assert read(picture(ASTRONAUT), face_reader=table)[1].estimator == "au-adapter blendshape map"
    demo = run("AUA_LoadFaceReader", file="demo regressor")[0]
    aus, seen, landmarks, _ = read(torch.rand(10, 32, 32, 3), face_reader=demo)
    assert len(aus) == 10 and [reading.image for reading in seen.readings] == list(range(10))
    assert landmarks["frames"] == [[]] * 10


def test_landmarks_that_a_reader_has_no_use_for_are_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    images = torch.rand(1, 32, 32, 3)
    demo = run("AUA_LoadFaceReader", file="demo regressor")[0]
    landmarks = read(images, face_reader=demo)[2]
    assert "FACE_LANDMARKS" not in caplog.text
    inputs = {"image": images, "face_reader": demo, "face_landmarks": landmarks}
    output = NODE["AUA_AUEstimator"].execute(**inputs)
    assert "FACE_LANDMARKS are not used" in str(output.ui)
    assert "FACE_LANDMARKS are not used" in caplog.text


# On the server


@pytest.fixture(scope="module")
def server(demo_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComfyServer]:
    base = tmp_path_factory.mktemp("comfyui")
    server = ComfyServer(base=base)
    shutil.copy(face_files.PHOTOS / ASTRONAUT, base / "input" / ASTRONAUT)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AU_ADAPTER_DEMO", str(demo_files))
        environment.setenv("AU_ADAPTER_CACHE", str(base / "nothing"))
        environment.delenv("AU_ADAPTER_FACE_LANDMARKER", raising=False)
        with server:
            yield server


GRAPH = {
    "1": ("AUA_LoadDemoModel", {}),
    "2": ("CLIPTextEncode", {"clip": ["1", 1], "text": "a young man"}),
    "3": ("CLIPTextEncode", {"clip": ["1", 1], "text": ""}),
    "11": ("LoadImage", {"image": ASTRONAUT}),
    "12": ("AUA_LoadFaceReader", {"file": "face_landmarker.task"}),
    "13": ("AUA_AUEstimator", {"image": ["11", 0], "face_reader": ["12", 0]}),
    "4": ("AUA_AUVector", {"au4": 3.0, "au1": 2.0, "au_vector": ["13", 0]}),
    "5": ("AUA_AUEncoder", {"au_adapter": ["1", 3], "au_vector": ["4", 0]}),
    "6": (
        "AUA_ApplyAUAdapter",
        {
            **{"model": ["1", 0], "positive": ["2", 0], "negative": ["3", 0]},
            **{"au_adapter": ["1", 3], "au_tokens": ["5", 0]},
            **{"strength": 1.0, "start": 0.0, "end": 1.0},
        },
    ),
    "7": ("EmptyLatentImage", {"width": 64, "height": 64, "batch_size": 1}),
    "8": (
        "KSampler",
        {
            **{"model": ["6", 0], "positive": ["6", 1], "negative": ["6", 2]},
            **{"latent_image": ["7", 0], "seed": 1, "steps": 2, "cfg": 3.0, "denoise": 1.0},
            **{"sampler_name": "euler", "scheduler": "normal"},
        },
    ),
    "9": ("VAEDecode", {"samples": ["8", 0], "vae": ["1", 2]}),
    "10": ("SaveImage", {"images": ["9", 0], "filename_prefix": "read"}),
    "14": ("PreviewImage", {"images": ["13", 3]}),
}


def graph() -> dict:
    return {key: {"class_type": kind, "inputs": inputs} for key, (kind, inputs) in GRAPH.items()}


def test_a_graph_without_the_file_says_what_to_do_and_runs_once_it_is_there(
    server: ComfyServer,
) -> None:
    """A photo is read, two AUs are added, and the rest goes on into a picture."""
    with pytest.raises(PromptError, match="au-adapter download face-landmarker"):
        server.run(graph())
    shutil.copy(TASK, server.base / "models" / "face_analysis" / "face_landmarker.task")
    history = server.wait(server.post_prompt(graph()))
    (smiling,) = server.images(history, "10")
    (record,) = json.loads(smiling.info["au_adapter"])
    assert record["strength"] == 1.0 and record["aus"] is None  # the graph alone does not tell them
    plain = graph()
    del plain["4"]["inputs"]["au_vector"]
    (without,) = server.images(server.wait(server.post_prompt(plain)), "10")
    (known,) = json.loads(without.info["au_adapter"])
    assert AUVector.from_json(known["aus"]).dict() == {"1": 2.0, "4": 3.0}
    assert not np.array_equal(np.asarray(smiling), np.asarray(without))
    (drawn,) = server.images(history, "14")
    original = np.asarray(Image.open(face_files.PHOTOS / ASTRONAUT).convert("RGB"), int)
    assert (np.abs(np.asarray(drawn.convert("RGB"), int) - original) > 25).any(-1).sum() > 1000
