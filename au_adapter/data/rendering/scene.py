"""Camera, pose and backgrounds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, zoom

from .sample import Scene

PIVOT = np.array([0.0, 0.5, 1.5])  # the point heads turn around, cm
LOOK_AT = np.array([0.0, 1.55, 1.5])  # what stands in the picture's middle
DISTANCE = 62.0  # camera to PIVOT, cm: a portrait lens, noses stay small
VIEW = 19.6  # cm of the plane at the face that fill the picture's height
FACE_DEPTH = 8.0


@dataclass(frozen=True)
class Camera:
    """project: head space -> clip space [4, 4]; rotation: head -> world [3, 3]."""

    project: np.ndarray
    rotation: np.ndarray
    offset: np.ndarray
    eye_point: np.ndarray

    def pixels(self, points: np.ndarray, size: int) -> np.ndarray:
        """Head-space points [N, 3] -> picture coordinates, x right and y down [N, 2]."""
        clip = np.c_[points, np.ones(len(points))] @ self.project.T
        flat = clip[:, :2] / clip[:, 3:]
        return (flat * (0.5, -0.5) + 0.5) * size


def rotation(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Head -> world for degrees: yaw to the picture's right, pitch up, roll clockwise."""
    y, p, r = np.radians([yaw, -pitch, -roll])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    about_z = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def camera(scene: Scene, turn: float = 1.0) -> Camera:
    """The camera of a scene. turn: share of the head's turn; the body follows it only in part."""
    rotate = rotation(scene.yaw * turn, scene.pitch * turn, scene.roll * turn)
    shift = np.array([*scene.shift, 0.0]) - LOOK_AT + PIVOT
    offset = shift - rotate @ PIVOT + [0, 0, -DISTANCE]
    focal = 2 * (DISTANCE - FACE_DEPTH + PIVOT[2]) / VIEW * scene.zoom
    near, far = 20.0, 120.0
    lens = np.zeros((4, 4))
    lens[0, 0] = lens[1, 1] = focal
    lens[2, 2], lens[2, 3] = -(far + near) / (far - near), -2 * far * near / (far - near)
    lens[3, 2] = -1
    view = np.eye(4)
    view[:3, :3], view[:3, 3] = rotate, offset
    return Camera(lens @ view, rotate, offset, -rotate.T @ offset)


def background(scene: Scene, size: int) -> np.ndarray:
    """The picture behind the head, 0..1 float32 [size, size, 3]."""
    rng = np.random.default_rng(scene.background_seed)
    y = np.linspace(0, 1, size, dtype=np.float32)[:, None, None]
    x = np.linspace(0, 1, size, dtype=np.float32)[None, :, None]
    if scene.background_kind == "scene":
        picture = _SCENES[scene.background](rng, x, y, size)
    else:
        colour = np.array(scene.background_colour, np.float32)
        picture = np.broadcast_to(colour, (size, size, 3)).copy()
        if scene.background_kind == "gradient":
            far = np.hypot(x - rng.uniform(0.2, 0.8), y - rng.uniform(0, 0.7))
            picture = picture * (1.22 - 0.6 * far)
    return np.clip(picture, 0, 1).astype(np.float32)


def _blend(y: np.ndarray, *stops: tuple[float, tuple]) -> np.ndarray:
    at, colours = [s[0] for s in stops], np.array([s[1] for s in stops])
    flat = np.stack([np.interp(y.ravel(), at, colours[:, k]) for k in range(3)], -1)
    return flat.reshape(*y.shape[:2], 3)


def _blobs(rng, size: int, cells: int, blur: float) -> np.ndarray:
    small = gaussian_filter(rng.normal(size=(cells, cells)), blur)
    small /= small.std() + 1e-9
    return zoom(small, size / cells, order=1)[:size, :size, None]


def _bokeh(rng, x, y, count: int, colour, low: float, high: float) -> np.ndarray:
    picture = 0.0
    for _ in range(count):
        radius = rng.uniform(0.02, 0.07)
        away = np.hypot(x - rng.uniform(0, 1), y - rng.uniform(low, high))
        tint = np.array(colour) * rng.uniform(0.4, 1, 3)
        picture = picture + tint * np.clip((radius - away) / 0.012, 0, 1) * 0.45
    return picture


def _park(rng, x, y, size):
    base = _blend(y, (0, (0.62, 0.78, 0.72)), (0.35, (0.36, 0.56, 0.26)), (1, (0.26, 0.46, 0.16)))
    leaves = _blobs(rng, size, 16, 1.0) * [0.07, 0.09, 0.04]
    return base + leaves + _bokeh(rng, x, y, 14, (0.7, 0.9, 0.4), 0, 0.5)


def _sky(rng, x, y, size):
    base = _blend(y, (0, (0.26, 0.50, 0.86)), (1, (0.72, 0.86, 0.96)))
    return base + np.clip(_blobs(rng, size, 12, 1.5) - 0.4, 0, 1.2) * [0.26, 0.2, 0.1]


def _office(rng, x, y, size):
    base = _blend(y, (0, (0.74, 0.76, 0.78)), (0.7, (0.6, 0.62, 0.65)), (1, (0.4, 0.4, 0.43)))
    for _ in range(5):
        left, wide = rng.uniform(-0.1, 0.9), rng.uniform(0.08, 0.3)
        panel = np.clip((wide / 2 - np.abs(x - left - wide / 2)) / 0.04, 0, 1)
        base = base + panel * rng.uniform(-0.13, 0.15) * np.array([1, 1, 1.05])
    return base


def _beach(rng, x, y, size):
    air = (0, (0.42, 0.68, 0.92)), (0.42, (0.70, 0.86, 0.95))
    sea = (0.45, (0.16, 0.50, 0.62)), (0.66, (0.28, 0.64, 0.70))
    sand = (0.71, (0.90, 0.82, 0.64)), (1, (0.82, 0.70, 0.50))
    return _blend(y, *air, *sea, *sand) + _blobs(rng, size, 10, 1.2) * 0.015


def _city(rng, x, y, size):
    base = _blend(y, (0, (0.16, 0.17, 0.32)), (0.6, (0.36, 0.28, 0.42)), (1, (0.14, 0.13, 0.2)))
    lights = _bokeh(rng, x, y, 26, (1.0, 0.75, 0.4), 0.15, 0.95)
    return base + lights + _bokeh(rng, x, y, 8, (0.4, 0.6, 1.0), 0.2, 0.9)


def _forest(rng, x, y, size):
    base = _blend(y, (0, (0.26, 0.36, 0.22)), (0.6, (0.12, 0.22, 0.10)), (1, (0.16, 0.14, 0.08)))
    for _ in range(7):
        trunk = np.clip((rng.uniform(0.02, 0.06) - np.abs(x - rng.uniform(0, 1))) / 0.03, 0, 1)
        base = base * (1 - 0.5 * trunk)
    return base + _blobs(rng, size, 16, 1.0) * [0.04, 0.06, 0.02]


def _sunset(rng, x, y, size):
    base = _blend(y, (0, (0.32, 0.28, 0.52)), (0.45, (0.86, 0.45, 0.38)), (0.7, (0.98, 0.72, 0.36)),
                  (0.73, (0.30, 0.20, 0.26)), (1, (0.16, 0.12, 0.18)))  # fmt: skip
    glow = np.exp(-((np.hypot(x - rng.uniform(0.1, 0.9), y - 0.66) / 0.22) ** 2))
    return base + glow * [0.3, 0.22, 0.08]


def _room(rng, x, y, size):
    base = _blend(y, (0, (0.80, 0.70, 0.56)), (0.75, (0.70, 0.58, 0.44)), (1, (0.36, 0.24, 0.16)))
    for _ in range(3):
        left, top = rng.uniform(-0.1, 0.9), rng.uniform(0.05, 0.4)
        wide, tall = rng.uniform(0.12, 0.3), rng.uniform(0.12, 0.4)
        sides = (wide - np.abs(x - left)) / 0.03, (tall - np.abs(y - top)) / 0.03
        box = np.clip(sides[0], 0, 1) * np.clip(sides[1], 0, 1)
        base = base * (1 - 0.55 * box) + 0.55 * box * rng.uniform(0.15, 0.75, 3)
    return base


_SCENES = {
    "park": _park, "sky": _sky, "office": _office, "beach": _beach, "city": _city,
    "forest": _forest, "sunset": _sunset, "room": _room,
}  # fmt: skip
