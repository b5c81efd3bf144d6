"""Faces in the layout of ComfyUI's core nodes, and back."""

from __future__ import annotations

import pytest
import torch
from face_pictures import landmarker, picture

from au_adapter.faces import Face, from_face_landmarks, to_face_landmarks
from au_adapter.faces.blendshapes import BLENDSHAPE_NAMES, MESH_POINTS
from au_adapter.faces.topology import CONTOURS, JAW

CORE_SETS = {*CONTOURS, "irises", "nose", "contours", "all", "tesselation"}


@pytest.fixture(scope="module")
def frames() -> list[list[Face]]:
    """Two faces, no face, one face."""
    group, single = picture("multi_face.jpg"), picture("astronaut.png")
    return [*landmarker().detect(group), [], *landmarker().detect(single)]


def _to_core(frames: list[list[Face]]) -> dict:
    return to_face_landmarks(frames, (667, 1000), landmarker().geometry.triangles)


def test_the_layout_is_that_of_core(frames: list[list[Face]]) -> None:
    landmarks = _to_core(frames)
    assert landmarks["image_size"] == (667, 1000)
    assert [len(faces) for faces in landmarks["frames"]] == [2, 0, 1]
    assert set(landmarks["connection_sets"]) == CORE_SETS
    face = landmarks["frames"][2][0]
    arrays = ("bbox_xyxy", "landmarks_xy", "landmarks_3d", "transformation_matrix")
    shapes = [(4,), (478, 2), (478, 3), (4, 4)]
    assert [face[name].shape for name in arrays] == shapes
    assert all(face[name].dtype == "float32" for name in arrays)
    assert tuple(face["blendshapes"]) == BLENDSHAPE_NAMES and len(BLENDSHAPE_NAMES) == 52
    assert face["presence"] > 5  # a logit
    assert face["landmarks_3d"][:, :2].min() > 0 and face["landmarks_3d"][:, :2].max() < 192
    assert face["bbox_xyxy"].tolist() == [
        *face["landmarks_xy"].min(0).tolist(),
        *face["landmarks_xy"].max(0).tolist(),
    ]


def test_there_and_back(frames: list[list[Face]]) -> None:
    for faces, again in zip(frames, from_face_landmarks(_to_core(frames)), strict=True):
        for face, back in zip(faces, again, strict=True):
            assert torch.equal(back.points[:, :2], face.points[:, :2])
            assert (back.points - face.points).abs().max() < 0.01
            assert (back.crop_points - face.crop_points).abs().max() < 1e-6
            assert torch.equal(back.pose, face.pose) and back.blendshapes == face.blendshapes
            assert back.score == face.score
            assert back.presence == pytest.approx(face.presence, abs=1e-6)


def test_what_is_passed_on_does_not_share_memory(frames: list[list[Face]]) -> None:
    before = frames[2][0].points.clone()
    _to_core(frames)["frames"][2][0]["landmarks_xy"][:] = 0
    assert torch.equal(frames[2][0].points, before)


def test_what_is_missing_is_named(frames: list[list[Face]]) -> None:
    with pytest.raises(ValueError, match="not FACE_LANDMARKS: expected a dictionary"):
        from_face_landmarks([])
    landmarks = _to_core(frames)
    del landmarks["frames"][2][0]["score"]
    with pytest.raises(ValueError, match="Face 0 of picture 2 in FACE_LANDMARKS lacks score"):
        from_face_landmarks(landmarks)
    landmarks = _to_core(frames)
    landmarks["frames"][0][1]["landmarks_xy"] = torch.zeros(468, 2).numpy()
    with pytest.raises(ValueError, match=r"Face 1 of picture 0 .* points \(468, 2\)"):
        from_face_landmarks(landmarks)


def test_the_lines_run_along_the_face(frames: list[list[Face]]) -> None:
    sets = _to_core(frames)["connection_sets"]
    points = frames[2][0].points
    assert len(sets["all"]) == 157 and len(sets["lips"]) == 40
    assert max(max(edge) for edge in sets["all"]) < 478 and len(set(MESH_POINTS)) == 146
    left, right = ({i for edge in sets[f"{side}_eye"] for i in edge} for side in ("left", "right"))
    # The subject's left eye is on the right of the picture.
    assert points[list(left), 0].min() > points[list(right), 0].max()
    jaw = points[list(JAW)]
    assert jaw[0, 0] < jaw[11, 0] < jaw[-1, 0] and jaw[11, 1] == jaw[:, 1].max()
