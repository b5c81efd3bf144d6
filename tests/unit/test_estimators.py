"""Estimators of Action Units: by hand, learned, of the demo; on photos and on damaged pictures."""

from __future__ import annotations

import logging
import math
import shutil
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from face_pictures import FULL_RANGE, RENDERS, TASK, landmarker, picture
from safetensors.torch import save_file
from torch import Tensor

import au_adapter
from au_adapter import AUVector
from au_adapter.estimators import (
    BlendshapeMap,
    Estimator,
    LandmarkEstimator,
    MeshMeasure,
    open_estimator,
    read_set,
)
from au_adapter.estimators.landmark import seen
from au_adapter.estimators.overlay import draw_readings
from au_adapter.estimators.reading import ReadingSet
from au_adapter.faces import FULL_RANGE_DETECTOR
from au_adapter.faces.alignment import STEADY_POINTS, align, similarity, turned_back
from au_adapter.faces.blendshapes import BLENDSHAPE_NAMES
from au_adapter.facs import SET_A
from au_adapter.metrics.agreement import linearity
from au_adapter.weights.downloads import cache_folder
from tools import face_files

ASTRONAUT, HAPPY, SURPRISED = "astronaut.png", "0-f15-hao-ph.jpg", "0-f1-su-ph.jpg"
ANGRY, DISGUSTED = "15-f13-anc-ph.jpg", "45-m7-di-ph.jpg"


def canonical() -> Tensor:
    """The canonical face as aligned points [1, 478, 3]; the irises lie between the lids."""
    points = landmarker().geometry.vertices.float()
    irises = [points[[159, 145]].mean(0), points[[386, 374]].mean(0)]
    return torch.cat([points, *(iris.expand(5, 3) for iris in irises)])[None]


def scores(**values: float) -> Tensor:
    """Blendshapes [1, 52], 0 but for those named."""
    return torch.tensor([[values.get(name, 0.0) for name in BLENDSHAPE_NAMES]])


def photo_estimator(name: str = "mesh", **settings: int) -> LandmarkEstimator:
    return open_estimator(name, TASK, **settings)


def strongest(aus: AUVector, count: int) -> set[int]:
    values = aus.select(SET_A, strict=False).values[0].tolist()
    return {unit for _, unit in sorted(zip(values, SET_A, strict=True), reverse=True)[:count]}


# Alignment


def test_the_steady_points_are_those_of_the_canonical_face() -> None:
    expected = landmarker().geometry.vertices[list(STEADY_POINTS)]
    found = torch.tensor(list(STEADY_POINTS.values()), dtype=torch.float64)
    assert (found - expected).abs().max() < 1e-4


def test_similarity_finds_a_known_rotation_scale_and_translation() -> None:
    source = torch.randn(7, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    turn = torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]], dtype=torch.float64)
    moved = 2.5 * source @ turn.T + torch.tensor([1.0, 2, 3])
    rotation, scale, translation = similarity(source, moved, torch.ones(7))
    assert (rotation - turn).abs().max() < 1e-9 and abs(scale - 2.5) < 1e-9
    assert (translation - torch.tensor([1.0, 2, 3])).abs().max() < 1e-6


def test_aligned_points_do_not_depend_on_pose_place_and_size() -> None:
    face = canonical()
    angle = math.radians(30)
    cosine, sine = math.cos(angle), math.sin(angle)
    yaw = torch.tensor([[[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]]])
    in_picture = turned_back(face, yaw) * 7 + torch.tensor([300.0, 200, 5])
    back, rotation = align(in_picture)
    assert (back - face).abs().max() < 1e-3
    assert (rotation - yaw).abs().max() < 1e-4


# The table made by hand


def test_the_table_reads_one_sided_scores() -> None:
    found = BlendshapeMap()(canonical(), scores(mouthSmileLeft=0.8, browOuterUpRight=0.4))
    left, right = (dict(zip(SET_A, side[0].tolist(), strict=True)) for side in found.sides())
    assert left[12] == pytest.approx(5 * 1.05 * 0.8) and right[12] == 0
    assert right[2] == pytest.approx(5 * 1.15 * 0.4) and left[2] == 0
    assert left[25] == pytest.approx(right[25])


def test_the_table_measures_the_lips_in_centimetres() -> None:
    face = canonical()
    face[0, 13], face[0, 14] = torch.tensor([0.0, -4.0, 5.3]), torch.tensor([0.0, -5.0, 5.3])
    found = BlendshapeMap()(face, scores())
    assert found.dict()["25"] == pytest.approx(5 * (1.0 - 0.1) / 1.8, abs=1e-4)


def test_the_table_takes_the_resting_face_away() -> None:
    face, resting = (canonical(), scores(jawOpen=0.5)), (canonical(), scores(jawOpen=0.2))
    found = BlendshapeMap()(*face, resting).select((26,), strict=False)
    assert float(found.values) == pytest.approx(5 * 1.6 * 0.3, abs=1e-5)
    back = BlendshapeMap()(*resting, face).select((26,), strict=False)
    assert float(back.values) == 0


def test_the_table_on_photos_is_what_was_measured_with_it_before() -> None:
    """The mean of both sides; the figures were noted when the table was made."""
    surprised, happy = (
        photo_estimator("blendshapes").estimate(picture(name))[0].aus for name in (SURPRISED, HAPPY)
    )
    for aus, noted in (
        (surprised, {1: 2.4, 2: 1.5, 25: 5.0, 26: 4.2}),
        (happy, {6: 3.6, 12: 4.2, 25: 4.0}),
    ):
        values = dict(zip(aus.units, aus.values[0].tolist(), strict=True))
        assert {unit: values[unit] for unit in noted} == pytest.approx(noted, abs=0.15)


# The network


def test_it_reads_both_sets_and_more_with_sides() -> None:
    aus = photo_estimator().estimate(picture(HAPPY))[0].aus
    assert {*SET_A, 7, 10, 14, 23, 24, 16, 18, 22, 27, 43} == {*aus.units}
    left, right = aus.sides()
    assert not torch.equal(left, right)
    assert left.min() >= 0 and left.max() <= 5
    reliability = MeshMeasure().reliability
    assert reliability[12] > 0.8 and min(reliability.values()) > -0.5


def test_a_mirrored_face_gets_the_mirrored_answer() -> None:
    measure = MeshMeasure()
    points, values = seen(landmarker().detect(picture(HAPPY))[0])
    other_side = [name.replace("Left", "?").replace("Right", "Left") for name in BLENDSHAPE_NAMES]
    order = [BLENDSHAPE_NAMES.index(name.replace("?", "Right")) for name in other_side]
    vertices = canonical()[0, :468]
    mirror = torch.cdist(vertices * torch.tensor([-1.0, 1, 1]), vertices).argmin(-1).tolist()
    irises = [*range(473, 478), *range(468, 473)]
    turned = points[:, [*mirror, *irises]] * torch.tensor([-1.0, 1, 1])
    here, there = measure(points, values), measure(turned, values[:, order])
    assert (here.left - there.right).abs().max() < 1e-4
    assert (here.right - there.left).abs().max() < 1e-4


@pytest.mark.parametrize(
    ("name", "lead"),
    [(ASTRONAUT, [12]), (HAPPY, [12, 25]), (SURPRISED, [26, 25]), (ANGRY, [4]), (DISGUSTED, [4])],
)
def test_the_lead_in_photos_is_what_they_show(name: str, lead: list[int]) -> None:
    (reading,) = photo_estimator().estimate(picture(name))
    values = reading.aus.select(SET_A, strict=False).values[0].tolist()
    leading = [value for unit, value in zip(SET_A, values, strict=True) if unit in lead]
    others = [value for unit, value in zip(SET_A, values, strict=True) if unit not in lead]
    assert min(leading) > 2 and min(leading) - max(others) > 0.5
    assert 12 in lead or values[SET_A.index(12)] < 1


def test_a_smile_rises_through_a_clip() -> None:
    with av.open(str(face_files.PHOTOS / "single_face.mp4")) as clip:
        frames = [frame.to_ndarray(format="rgb24") for frame in clip.decode(video=0)][:60:6]
    readings = photo_estimator().estimate(torch.tensor(np.stack(frames)) / 255)
    smile = torch.cat([reading.aus.select((12,), strict=False).values[0] for reading in readings])
    assert len(smile) == len(frames)
    assert linearity(torch.arange(len(smile)).float(), smile).spearman > 0.8
    assert smile[:3].max() < 0.5 and smile[4:].min() > 2.5


def test_its_own_resting_face_takes_an_expression_away() -> None:
    reader = photo_estimator().relative_to(picture(ASTRONAUT))
    assert reader.name.endswith("relative to a neutral photo")
    (reading,) = reader.estimate(picture(ASTRONAUT))
    assert reading.aus.values.max() < 0.01
    (happy,) = reader.estimate(picture(HAPPY))
    assert happy.aus.values.max() > 0.5


@pytest.mark.parametrize("name", ["multi_face.jpg", "free-mountain-vector-01.jpg"])
def test_a_neutral_photo_shows_one_face(name: str) -> None:
    with pytest.raises(ValueError, match="neutral photo must show one face, found"):
        photo_estimator().relative_to(picture(name))
    with pytest.raises(ValueError, match="must be one picture, found 2"):
        photo_estimator().relative_to(picture(ASTRONAUT).repeat(2, 1, 1, 1))


def test_another_file_is_refused(tmp_path) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    (tmp_path / "torn.safetensors").write_bytes(b"12345678901")
    with pytest.raises(ValueError, match="is no AU estimator: its metadata lacks"):
        MeshMeasure(tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="is not a whole file of weights"):
        MeshMeasure(tmp_path / "torn.safetensors")
    with pytest.raises(FileNotFoundError, match="install AU-Adapter again"):
        MeshMeasure(tmp_path / "none.safetensors")


# Pictures of every kind


def test_a_batch_keeps_pictures_apart_and_names_what_it_cannot_read(
    caplog: pytest.LogCaptureFixture,
) -> None:
    images = picture(ASTRONAUT).repeat(4, 1, 1, 1)
    images[1], images[3, 0, 0, 0] = 0.0, float("nan")
    reader = photo_estimator()
    with caplog.at_level(logging.WARNING, "au_adapter"):
        found = read_set(reader, images)
    assert found.estimator == reader.name and found.pictures == 4
    assert [reading.image for reading in found.readings] == [0, 2]
    assert found.of(1) == found.of(3) == []
    assert "Picture 4 of 4 has values that are not finite" in caplog.text


@pytest.mark.parametrize("size", [(1, 1), (2, 300)])
def test_tiny_pictures_and_none_have_no_reading(size: tuple[int, int]) -> None:
    assert photo_estimator().estimate(torch.rand(1, *size, 3)) == []
    assert photo_estimator().estimate(torch.zeros(0, 64, 64, 3)) == []


def test_every_face_of_a_crowd_is_read() -> None:
    head = picture(ASTRONAUT)[:, 10:250:2, 110:350:2]
    readings = photo_estimator(levels=3).estimate(head.repeat(1, 5, 6, 1))
    assert len(readings) == 30
    assert sorted(reading.face for reading in readings) == list(range(30))
    assert all(12 in strongest(reading.aus, 3) for reading in readings)


@pytest.mark.parametrize("place", ["beside it", "downloaded", "nowhere"])
def test_a_small_face_is_found_where_the_full_range_detector_lies(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "au_adapter")
    monkeypatch.setenv("AU_ADAPTER_CACHE", str(tmp_path / "cache"))
    (tmp_path / "models").mkdir()
    task = shutil.copy(TASK, tmp_path / "models")
    if place != "nowhere":
        beside, cache = tmp_path / "models", cache_folder(FULL_RANGE_DETECTOR.download)
        folder = beside if place == "beside it" else cache
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(FULL_RANGE, folder)
    small = torch.nn.functional.pad(picture(ASTRONAUT), (0, 0, 300, 300, 300, 300), value=0.5)
    reader = open_estimator("mesh", task)
    readings = reader.estimate(small)
    assert len(readings) == (place != "nowhere") == (FULL_RANGE.name in caplog.text)
    assert all(12 in strongest(reading.aus, 1) for reading in readings)
    assert len(reader.estimate(picture("multi_face.jpg"))) == 2  # as many as without it


def test_dark_glasses_leave_the_mouth_readable() -> None:
    image = picture(ASTRONAUT).clone()
    image[:, 100:130, 170:275] = 0.02
    (reading,) = photo_estimator().estimate(image)
    assert 12 in strongest(reading.aus, 2)


def test_a_face_turned_away_is_named(caplog: pytest.LogCaptureFixture) -> None:
    (face,) = landmarker().detect(picture(ASTRONAUT))[0]
    turn = torch.tensor([[0.5, 0, 0.866, 0], [0, 1, 0, 0], [-0.866, 0, 0.5, 0], [0, 0, 0, 1.0]])
    turned = type(face)(**{**vars(face), "pose": turn})
    with caplog.at_level(logging.WARNING, "au_adapter"):
        assert len(photo_estimator().read([[], [turned]])) == 1
    assert "Face 1 of picture 2 is turned away (60 degrees sideways, 0 up or down)" in caplog.text


# The demo's regressor, and what all share


def test_the_demo_regressor_reads_whole_pictures() -> None:
    reader = open_estimator("demo")
    images = torch.cat([picture(name) for name in RENDERS[:3]])
    images[1] = float("nan")
    readings = reader.estimate(images)
    assert [reading.image for reading in readings] == [0, 2]
    assert readings[0].box == (0.0, 0.0, 128.0, 128.0) and readings[0].aus.units == SET_A
    expected = reader.regressor.read(images[[2]])
    assert torch.allclose(readings[1].aus.values, expected, atol=1e-5)


@pytest.mark.parametrize("name", ["mesh", "blendshapes", "demo"])
def test_every_estimator_has_the_interface(name: str) -> None:
    reader = open_estimator(name, TASK)
    assert isinstance(reader, Estimator) and reader.name
    (reading, *_) = reader.estimate(picture(RENDERS[0]))
    assert reading.aus.units == reader.units and 0 < reading.confidence <= 1


def test_estimate_is_a_verb_of_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AU_ADAPTER_FACE_LANDMARKER", str(TASK))
    (reading,) = au_adapter.estimate(picture(ASTRONAUT))
    assert (reading.image, reading.face) == (0, 0) and strongest(reading.aus, 1) == {12}
    x0, y0, x1, y1 = reading.box
    assert x0 < 224 < x1 and y0 < 120 < y1
    (table,) = au_adapter.estimate(picture(ASTRONAUT), estimator="blendshapes")
    assert table.aus.units == SET_A
    with pytest.raises(ValueError, match="cannot use a neutral photo"):
        au_adapter.estimate(picture(ASTRONAUT), picture(ASTRONAUT), "demo")
    with pytest.raises(ValueError, match="no estimator 'smile'; known are mesh, blendshapes, demo"):
        au_adapter.estimate(picture(ASTRONAUT), estimator="smile")


def test_a_missing_landmarker_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.delenv("AU_ADAPTER_FACE_LANDMARKER", raising=False)
    monkeypatch.setenv("AU_ADAPTER_CACHE", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="au-adapter download face-landmarker"):
        au_adapter.estimate(torch.zeros(1, 8, 8, 3))


def test_readings_are_drawn_and_a_picture_without_a_face_says_so() -> None:
    images = torch.cat([picture(ASTRONAUT), torch.zeros(1, 512, 512, 3)])
    images[1, 0, 0] = float("nan")
    reader = photo_estimator()
    frames = reader.detect(images)
    found = ReadingSet(reader.name, 2, tuple(reader.read(frames)))
    drawn = draw_readings(images, found, frames, weak=(12,))
    assert drawn.shape == images.shape and np.isfinite(drawn.numpy()).all()
    changed = ((drawn - images).abs() > 0.1).any(-1)
    assert 1000 < changed[0].sum() < 60000 and not changed[0, 300:].any()
    assert 20 < changed[1].sum() < 4000 and not changed[1, 60:].any()
    tiny = draw_readings(torch.rand(1, 1, 1, 3), ReadingSet("x", 1, ()))
    assert tiny.shape == (1, 1, 1, 3)
