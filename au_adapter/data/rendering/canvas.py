"""The flat skin: a cylinder around the template head, unrolled, on which textures are painted.

Coordinates are centimetres: across = angle around the axis times RADIUS, up = y. Because they
belong to the template, everything painted here follows the skin of every person and expression.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter, zoom

AXIS_Z, RADIUS = 1.0, 9.5
ACROSS, BOTTOM, TOP = 18.0, -11.0, 13.0  # the canvas covers +-ACROSS by BOTTOM..TOP
WIDTH, HEIGHT = 432, 288  # texels of 0.083 cm
X, Y = np.meshgrid(  # the flat point of each texel
    (np.arange(WIDTH, dtype=np.float32) + 0.5) / WIDTH * 2 * ACROSS - ACROSS,
    (np.arange(HEIGHT, dtype=np.float32) + 0.5) / HEIGHT * (TOP - BOTTOM) + BOTTOM,
)


def flatten(points: np.ndarray) -> np.ndarray:
    """Template points [..., 3] -> flat points [..., 2]."""
    angle = np.arctan2(points[..., 0], points[..., 2] - AXIS_Z)
    return np.stack([angle * RADIUS, points[..., 1]], -1)


def shares(flat: np.ndarray) -> np.ndarray:
    """Flat points -> how far across and up the canvas they lie, 0..1; row 0 is the bottom."""
    across = (flat[..., 0] + ACROSS) / (2 * ACROSS)
    return np.stack([across, (flat[..., 1] - BOTTOM) / (TOP - BOTTOM)], -1)


def to_texels(flat: np.ndarray) -> np.ndarray:
    """Flat points -> (column, row) in texels."""
    return shares(flat) * np.array([WIDTH, HEIGHT], np.float32)


def spot(centre: np.ndarray, width: float, height: float | None = None) -> np.ndarray:
    """A Gaussian spot, 1 in its centre, [HEIGHT, WIDTH]; width and height: its sigmas in cm."""
    height = width if height is None else height
    return np.exp(-0.5 * (((X - centre[0]) / width) ** 2 + ((Y - centre[1]) / height) ** 2))


def curve(points: list | np.ndarray, count: int = 24) -> np.ndarray:
    """A smooth curve through flat points (Catmull-Rom) [count, 2]."""
    points = np.asarray(points, np.float32)
    ends = [2 * points[0] - points[1], *points, 2 * points[-1] - points[-2]]
    spans = len(points) - 1
    t = np.linspace(0, spans, count)
    i = np.minimum(t.astype(int), spans - 1)
    f = (t - i)[:, None]
    a, b, c, d = (np.stack(ends)[i + step] for step in range(4))
    return 0.5 * (
        2 * b + (c - a) * f + (2 * a - 5 * b + 4 * c - d) * f**2 + (3 * b - a - 3 * c + d) * f**3
    )


def stroke(points: np.ndarray, width: float, taper: float = 0.25) -> np.ndarray:
    """A soft line through points, [HEIGHT, WIDTH]. width: its sigma in cm. taper: the share of the
    line over which each end fades."""
    picture = np.zeros(X.shape, np.float32)
    low = np.floor(to_texels(points.min(0) - 4 * width)).astype(int).clip(0)
    high = np.ceil(to_texels(points.max(0) + 4 * width)).astype(int).clip(0)
    window = slice(low[1], high[1]), slice(low[0], high[0])
    distance, where = _along(points, X[window], Y[window])
    ends = np.clip(np.minimum(where, 1 - where) / max(taper, 1e-3), 0, 1)
    ends = ends * ends * (3 - 2 * ends)
    picture[window] = np.exp(-0.5 * (distance / width) ** 2) * ends
    return picture


def _along(points: np.ndarray, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance of the places x, y to a polyline, and their position along it, 0..1."""
    best = np.full(x.shape, 1e6, np.float32)
    where = np.zeros_like(best)
    count = len(points) - 1
    for index, (a, b) in enumerate(zip(points[:-1], points[1:], strict=True)):
        d = b - a
        t = ((x - a[0]) * d[0] + (y - a[1]) * d[1]) / max(float(d @ d), 1e-9)
        t = np.clip(t, 0, 1)
        distance = np.hypot(x - a[0] - t * d[0], y - a[1] - t * d[1])
        closer = distance < best
        best[closer] = distance[closer]
        where[closer] = ((index + t) / count)[closer]
    return best, where


def noise(rng: np.random.Generator, scale: float) -> np.ndarray:
    """Smooth noise of unit deviation, [HEIGHT, WIDTH]; scale: size of its features in cm."""
    texel = 2 * ACROSS / WIDTH
    sigma = scale / texel
    step = max(int(sigma / 2), 1)
    small = rng.normal(size=(HEIGHT // step + 2, WIDTH // step + 2)).astype(np.float32)
    small = gaussian_filter(small, max(sigma / step / 2, 0.01))
    small /= small.std() + 1e-9
    if step > 1:
        small = zoom(small, step, order=1)
    return small[:HEIGHT, :WIDTH]
