"""Clothes and glasses: simple surfaces placed by a person's own landmarks."""

from __future__ import annotations

import numpy as np

from .hair import grid_triangles, outward_normals, unit
from .sample import Person

# Rings from the collar down: height, half width, half depth, centre z; cm.
_BODIES = {
    "sweater": ((-9.6, 6.2, 5.6, 0.2), (-10.2, 7.0, 6.2, 0.0), (-11.2, 10.5, 7.5, -0.5)),
    "shirt": ((-8.8, 6.6, 6.4, -0.2), (-9.4, 6.9, 6.6, -0.3), (-11.0, 10.5, 7.5, -0.5)),
    "turtleneck": ((-7.2, 5.9, 5.2, 0.4), (-9.0, 6.3, 5.6, 0.2), (-11.0, 10.5, 7.5, -0.5)),
    "jacket": ((-8.4, 7.4, 5.8, -1.4), (-9.6, 8.0, 6.6, -0.8), (-11.0, 11.5, 8.0, -0.5)),
}
_SHOULDERS = ((-12.4, 15.0, 8.5, -1.0), (-14.5, 19.0, 10.0, -1.0), (-24.0, 20.0, 12.0, -1.0))


def clothes(person: Person) -> tuple[np.ndarray, np.ndarray]:
    """(vertices [N, 6] position and normal, triangles [T, 3])."""
    rings = np.array(_BODIES[person.garment] + _SHOULDERS)
    fine = np.linspace(0, len(rings) - 1, 16)
    rings = np.stack([np.interp(fine, np.arange(len(rings)), rings[:, k]) for k in range(4)], 1)
    angle = np.linspace(0, 2 * np.pi, 49)
    height, wide, deep, centre = rings.T[..., None]
    flat = wide * np.sin(angle), deep * np.cos(angle) + centre
    points = np.stack([flat[0], np.broadcast_to(height, (16, 49)), flat[1]], -1)
    normal = outward_normals(points, np.array([0, -20.0, 0]))
    vertices = np.concatenate([points, normal], -1).reshape(-1, 6).astype(np.float32)
    return vertices, grid_triangles(16, 49)


def glasses(landmarks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frames for a person with these neutral landmarks [68, 3]: (vertices [N, 6], triangles)."""
    left, right = landmarks[42:48].mean(0), landmarks[36:42].mean(0)
    front = max(landmarks[27, 2] + 0.25, left[2] + 1.3)
    pieces = []
    for side, eye in ((1, left), (-1, right)):
        t = np.linspace(0, 2 * np.pi, 41)
        x = eye[0] + side * 0.1 + 2.25 * np.sign(np.cos(t)) * np.abs(np.cos(t)) ** 0.75
        y = eye[1] - 0.25 + 1.75 * np.sign(np.sin(t)) * np.abs(np.sin(t)) ** 0.75
        pieces.append(_tube(np.stack([x, y, front - 0.03 * x**2], 1), 0.13))
        hinge = np.array([eye[0] + side * 2.35, eye[1] + 0.3, front - 0.03 * (eye[0] + 2.35) ** 2])
        ear = np.array([side * 8.0, eye[1] + 0.4, 0.5])
        middle = np.array([side * 7.6, eye[1] + 0.4, 6.0])
        pieces.append(_tube(np.stack([hinge, middle, ear]), 0.13))
    bridge = np.linspace(right[0] + 2.1, left[0] - 2.1, 7)
    lift = (left[1] + right[1]) / 2 + 0.3
    arch = np.stack([bridge, lift + 0.15 * np.cos(bridge * 1.5), np.full(7, front + 0.05)], 1)
    pieces.append(_tube(arch, 0.12))
    offsets = np.cumsum([0] + [len(v) for v, _ in pieces[:-1]])
    triangles = [t + o for (_, t), o in zip(pieces, offsets, strict=True)]
    return np.concatenate([v for v, _ in pieces]).astype(np.float32), np.concatenate(triangles)


def _tube(path: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray]:
    along = unit(np.gradient(path, axis=0))
    across = unit(np.cross(along, np.array([0.12, 0.08, 1.0])))
    third = np.cross(along, across)
    t = np.linspace(0, 2 * np.pi, 7)
    normal = across[:, None] * np.cos(t)[None, :, None] + third[:, None] * np.sin(t)[None, :, None]
    points = path[:, None] + radius * normal
    vertices = np.concatenate([points, normal], -1).reshape(-1, 6)
    return vertices, grid_triangles(len(path), 7)
