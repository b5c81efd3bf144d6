"""The torch reader against mediapipe 0.10.14, whose numbers lie in tests/data/faces."""

from __future__ import annotations

import numpy as np
import pytest
from face_pictures import (
    PHOTOS,
    POINT_STEP,
    REFERENCE,
    RENDERS,
    far_landmarker,
    landmarker,
    picture,
    segmenter,
)
from torch import Tensor

from au_adapter.faces.search import search

FIELDS = 8


def _points(name: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """(ours, mediapipe's) points of each face, in pixels."""
    step = POINT_STEP if name in RENDERS else 1
    faces = landmarker().detect(picture(name))[0]
    expected = [np.array(face["points"]) for face in REFERENCE[name]["faces"]]
    return [(f.points.numpy()[::step], e) for f, e in zip(faces, expected, strict=True)]


@pytest.mark.parametrize("name", REFERENCE)
def test_points(name: str) -> None:
    for found, expected in _points(name):
        distance = np.linalg.norm((found - expected)[:, :2], axis=-1)
        assert distance.mean() < 0.05 and distance.max() < 0.1
        assert np.abs(found - expected)[:, 2].mean() < 0.05


def test_points_of_all_pictures_together() -> None:
    pairs = [pair for name in REFERENCE for pair in _points(name)]
    distances = [np.linalg.norm((a - b)[:, :2], axis=-1).mean() for a, b in pairs]
    assert len(pairs) >= 8 + 20 and np.mean(distances) < 0.01


@pytest.mark.parametrize("name", REFERENCE)
def test_blendshapes_and_pose(name: str) -> None:
    faces = landmarker().detect(picture(name))[0]
    for face, expected in zip(faces, REFERENCE[name]["faces"], strict=True):
        scores = np.array(list(face.blendshapes.values()))
        assert np.abs(scores - expected["blendshapes"]).max() < 0.01
        pose = face.pose.numpy() - np.array(expected["pose"])
        assert np.abs(pose[:3, :3]).max() < 0.005 and np.abs(pose[:3, 3]).max() < 0.05


@pytest.mark.parametrize("name", REFERENCE)
def test_detections(name: str) -> None:
    near = search(landmarker().detector, picture(name), [0], 0.5, levels=1)[0]
    # mediapipe gives these boxes in whole pixels.
    _same_boxes(near.boxes, near.scores, REFERENCE[name]["short"], pixels=2)
    far = search(far_landmarker().detector, picture(name), [0], 0.6, levels=1)[0]
    _same_boxes(far.boxes, far.scores, REFERENCE[name]["full"], pixels=0.05)


def _same_boxes(boxes: Tensor, scores: Tensor, rows: list[list[float]], pixels: float) -> None:
    expected = np.array(rows).reshape(-1, 5)
    assert len(boxes) == len(expected)
    assert np.abs(boxes.numpy() - expected[:, :4]).max(initial=0) < pixels
    assert np.abs(scores.numpy() - expected[:, 4]).max(initial=0) < 0.002


@pytest.mark.parametrize("name", [*PHOTOS, *RENDERS[::4]])
def test_person_mask(name: str) -> None:
    mask = segmenter().mask(picture(name))[0].numpy()
    rows, columns = ((np.arange(FIELDS) * n // FIELDS + n // FIELDS // 2) for n in mask.shape)
    expected = np.array(REFERENCE[name]["person"]).reshape(FIELDS, FIELDS)
    assert np.abs(mask[rows][:, columns] - expected).max() < 0.02
