"""A face read in a picture, and the FACE_LANDMARKS layout of ComfyUI's core nodes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .topology import connection_sets

CORE_CROP = 192  # units along the crop's side in core's landmarks_3d
KEYS = ("landmarks_xy", "landmarks_3d", "blendshapes", "presence", "score", "transformation_matrix")


@dataclass(frozen=True, eq=False)
class Face:
    """A face. Left and right are the subject's.

    points [478, 3]: pixels of the picture, x to the right, y down, and a depth in the same unit
    that grows away from the camera; the last ten are the irises. crop_points [478, 3]: the same in
    0..1 across the rotated crop that the mesh read. score, presence: 0..1, of the detector and of
    the mesh. blendshapes: 52 scores in 0..1 by ARKit's names. pose [4, 4]: moves the canonical
    face, in centimetres, in front of the camera (see pose.head_angles).
    """

    points: Tensor
    crop_points: Tensor
    score: float
    presence: float
    blendshapes: dict[str, float]
    pose: Tensor

    @property
    def box(self) -> Tensor:
        """The smallest upright box around the points, [4] = x0 y0 x1 y1 in pixels."""
        flat = self.points[:, :2]
        return torch.cat([flat.amin(0), flat.amax(0)])


def to_face_landmarks(
    frames: Sequence[Sequence[Face]], size: tuple[int, int], triangles: Tensor
) -> dict[str, Any]:
    """Faces by picture -> core's FACE_LANDMARKS, for pictures of `size` (height, width).

    triangles [T, 3]: of the landmarker's geometry, for the net that core can draw.
    """
    return {
        "frames": [[_to_core(face) for face in faces] for faces in frames],
        "image_size": tuple(size),
        "connection_sets": connection_sets(triangles),
    }


def _to_core(face: Face) -> dict[str, Any]:
    presence = min(max(face.presence, 1e-9), 1 - 1e-9)
    return {
        "bbox_xyxy": face.box.numpy(),
        "blendshapes": dict(face.blendshapes),
        "landmarks_xy": face.points[:, :2].numpy().copy(),
        "landmarks_3d": (face.crop_points * CORE_CROP).numpy(),
        "presence": math.log(presence / (1 - presence)),  # a logit, finite at 0 and 1 too
        "score": face.score,
        "transformation_matrix": face.pose.numpy().copy(),
    }


def from_face_landmarks(
    landmarks: dict[str, Any], images: Tensor | None = None
) -> list[list[Face]]:
    """Core's FACE_LANDMARKS -> faces by picture. ValueError naming what is missing.

    images [N, H, W, C]: pictures whose number and size the landmarks must have.
    """
    if not isinstance(landmarks, dict) or "frames" not in landmarks:
        raise ValueError(
            "These are not FACE_LANDMARKS: expected a dictionary with 'frames'. Connect Detect "
            "Face Landmarks (MediaPipe) or AU Estimator"
        )
    frames = landmarks["frames"]
    if images is not None:
        count, (height, width) = len(images), images.shape[1:3]
        size = tuple(landmarks.get("image_size", (height, width)))
        if (len(frames), size) != (count, (height, width)):
            raise ValueError(
                f"the FACE_LANDMARKS are of {len(frames)} picture(s) of {size[1]} x {size[0]} "
                f"pixels, the IMAGE is {count} of {width} x {height}: connect the same pictures to "
                "both, or leave the landmarks out"
            )
    return [
        [_from_core(face, f"Face {j} of picture {i}") for j, face in enumerate(faces)]
        for i, faces in enumerate(frames)
    ]


def _from_core(face: dict[str, Any], name: str) -> Face:
    if missing := [key for key in KEYS if key not in face]:
        raise ValueError(f"{name} in FACE_LANDMARKS lacks {', '.join(missing)}")
    flat, crop = _array(face["landmarks_xy"]), _array(face["landmarks_3d"]) / CORE_CROP
    if flat.shape != (478, 2) or crop.shape != (478, 3):
        raise ValueError(
            f"{name} in FACE_LANDMARKS has points {tuple(flat.shape)} and {tuple(crop.shape)}, "
            "expected (478, 2) and (478, 3)"
        )
    side = _spread(flat) / _spread(crop[:, :2])  # pixels of the crop's side
    return Face(
        points=torch.cat([flat, crop[:, 2:] * side], -1),
        crop_points=crop,
        score=float(face["score"]),
        presence=1 / (1 + math.exp(-float(face["presence"]))),
        blendshapes={key: float(value) for key, value in face["blendshapes"].items()},
        pose=_array(face["transformation_matrix"]),
    )


def _array(values: np.ndarray) -> Tensor:
    return torch.tensor(np.asarray(values, np.float32))


def _spread(points: Tensor) -> Tensor:
    return (points - points.mean(0)).norm()
