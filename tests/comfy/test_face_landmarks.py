"""ComfyUI's own face nodes on what our landmarker reads, and our reader on what core passes on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from au_adapter_pack.nodes.sockets import FaceLandmarksSocket
from comfy_extras.mediapipe.face_geometry import transformation_matrix_from_detection
from comfy_extras.nodes_mediapipe import (
    FaceLandmarksType,
    MediaPipeFaceMask,
    MediaPipeFaceMeshVisualize,
)
from face_pictures import TASK, landmarker, picture
from sampling import run

from au_adapter.faces import from_face_landmarks, to_face_landmarks

NAME = "astronaut.png"


@pytest.fixture(scope="module")
def landmarks() -> dict:
    """The astronaut's face in core's layout."""
    frames = landmarker().detect(picture(NAME))
    size = tuple(picture(NAME).shape[1:3])
    return to_face_landmarks(frames, size, landmarker().geometry.triangles)


def test_core_and_our_socket_are_one() -> None:
    assert FaceLandmarksSocket.io_type == FaceLandmarksType.io_type


def test_core_draws_the_mask_of_what_au_estimator_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AU_ADAPTER_FACE_LANDMARKER", str(TASK))
    _, _, read, _ = run("AUA_AUEstimator", image=picture(NAME))
    assert MediaPipeFaceMask.execute(read, {"regions": "all"}).args[0].sum() > 1000


def test_core_draws_the_mask_of_our_face(landmarks: dict) -> None:
    mask = MediaPipeFaceMask.execute(landmarks, {"regions": "all"}).args[0]
    assert mask.shape == (1, 512, 512)
    x0, y0, x1, y1 = landmarks["frames"][0][0]["bbox_xyxy"]
    ys, xs = mask[0].nonzero(as_tuple=True)
    assert abs(xs.min() - x0) < 3 and abs(xs.max() - x1) < 3
    assert abs(ys.min() - y0) < 3 and abs(ys.max() - y1) < 3
    assert 0.6 < mask.sum() / ((x1 - x0) * (y1 - y0)) < 0.9  # an oval in its box


def test_core_draws_every_set_of_lines(landmarks: dict) -> None:
    names = ("face_oval", "lips", "left_eye", "right_eye", "left_eyebrow", "right_eyebrow")
    for name in (*names, "irises", "nose", "tesselation"):
        chosen = {"connections": "custom", name: True}
        drawn = MediaPipeFaceMeshVisualize.execute(landmarks, chosen, "#00ff00", 1, 0).args[0]
        assert drawn.shape == (1, 512, 512, 3) and drawn[..., 1].sum() > 10, name


def test_core_computes_our_pose(landmarks: dict) -> None:
    geometry = landmarker().geometry
    canonical = {
        "canonical_vertices": geometry.vertices.numpy(),
        "procrustes_indices": geometry.basis.numpy(),
        "procrustes_weights": geometry.weights.numpy(),
    }
    face = landmarks["frames"][0][0]
    matrix = transformation_matrix_from_detection(face, 512, 512, canonical)
    assert np.abs(matrix - face["transformation_matrix"])[:3, :3].max() < 0.02
    again = from_face_landmarks({"frames": [[face | {"transformation_matrix": matrix}]]})
    assert torch.equal(again[0][0].pose, torch.tensor(matrix))
