"""Soft shadows, precomputed: how much of every direction each vertex sees.

Visibility of the template is projected on the first nine spherical harmonics once; a key light
then asks how visible its direction is. After Sloan, Kautz and Snyder 2002, "Precomputed
radiance transfer", with the cosine left to the shader.
"""

from __future__ import annotations

import numpy as np

DIRECTIONS = 160
CELL = 0.32  # cm of the depth map
BIAS = 0.55  # cm


def harmonics(direction: np.ndarray) -> np.ndarray:
    """The first nine real spherical harmonics of unit vectors [..., 3] -> [..., 9]."""
    x, y, z = np.moveaxis(np.asarray(direction, np.float32), -1, 0)
    return np.stack(
        [
            0.282095 * np.ones_like(x),
            0.488603 * y, 0.488603 * z, 0.488603 * x,
            1.092548 * x * y, 1.092548 * y * z, 0.315392 * (3 * z * z - 1),
            1.092548 * x * z, 0.546274 * (x * x - y * y),
        ], -1)  # fmt: skip


def _sphere(count: int) -> np.ndarray:
    """Evenly spread unit vectors (Fibonacci) [count, 3]."""
    i = np.arange(count) + 0.5
    z, angle = 1 - 2 * i / count, np.pi * (1 + 5**0.5) * i
    r = np.sqrt(1 - z * z)
    return np.stack([r * np.cos(angle), r * np.sin(angle), z], -1).astype(np.float32)


def _seen(points: np.ndarray, blockers: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Which points a viewer far away in `direction` sees, bool [N]."""
    helper = np.array([0, 1, 0]) if abs(direction[1]) < 0.9 else np.array([1, 0, 0])
    across = np.cross(helper, direction)
    across /= np.linalg.norm(across)
    frame = np.stack([across, np.cross(direction, across), direction], 1).astype(np.float32)
    a, b = points @ frame, blockers @ frame
    low = np.minimum(a[:, :2].min(0), b[:, :2].min(0))
    cells_b = ((b[:, :2] - low) / CELL).astype(int)
    cells_a = ((a[:, :2] - low) / CELL).astype(int)
    stride = max(cells_a.max(), cells_b.max()) + 1
    depth = np.full(stride * stride, -1e6, np.float32)
    np.maximum.at(depth, cells_b[:, 0] * stride + cells_b[:, 1], b[:, 2])
    return a[:, 2] > depth[cells_a[:, 0] * stride + cells_a[:, 1]] - BIAS


def bake_visibility(
    points: np.ndarray, normals: np.ndarray, triangles: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(transfer [N, 9], ambient occlusion 0..1 [N]) of the template's skin."""
    corners = points[triangles]
    blockers = np.concatenate([points, corners.mean(1)])
    transfer = np.zeros((len(points), 9), np.float32)
    open_light = np.zeros(len(points), np.float32)
    all_light = np.zeros(len(points), np.float32)
    for direction in _sphere(DIRECTIONS):
        seen = _seen(points + 0.15 * normals, blockers, direction).astype(np.float32)
        facing = np.clip(normals @ direction, 0, 1)
        # A surface that faces away shadows itself through its cosine, not through this term.
        seen = np.maximum(seen, (normals @ direction < 0.0).astype(np.float32))
        transfer += seen[:, None] * harmonics(direction) * (4 * np.pi / DIRECTIONS)
        open_light += seen * facing
        all_light += facing
    return transfer, open_light / (all_light + 1e-6)


def key_visibility(transfer: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Visibility 0..1 [N] of a light in a direction of the head's space."""
    seen = transfer @ harmonics(direction)
    return np.clip((seen - 0.2) / 0.7, 0, 1).astype(np.float32)
