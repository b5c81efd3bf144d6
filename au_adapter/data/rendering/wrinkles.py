"""Furrows that an active AU folds into the skin, as height fields on the flat skin.

The morphable model's shapes move the skin but hardly crease it, and a small picture shows a lowered
brow or a wrinkled nose by its creases. The places of the folds follow FACS.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import canvas

TEXEL = 2 * canvas.ACROSS / canvas.WIDTH


@dataclass(frozen=True)
class Fold:
    """A fold of one side, on a window of the canvas: slopes (across, up) and cavity."""

    rows: slice
    columns: slice
    slope: np.ndarray  # [h, w, 2]
    cavity: np.ndarray  # [h, w]


def _fold(height: np.ndarray, darkness: float = 1.0) -> Fold:
    busy = np.abs(height) > 0.004
    rows, columns = np.flatnonzero(busy.any(1)), np.flatnonzero(busy.any(0))
    window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    up, across = np.gradient(height, TEXEL)
    slope = np.stack([across, up], -1)[window]
    cavity = np.clip(-height[window] * 3.2 * darkness, 0, 0.8)
    return Fold(*window, slope.astype(np.float32), cavity.astype(np.float32))


def _groove(points, depth: float, width: float, taper: float = 0.3) -> np.ndarray:
    """A line pressed into the skin with small rolls on both sides."""
    line = canvas.curve(points)
    return depth * (
        0.75 * canvas.stroke(line, width * 2.8, taper)
        - 1.3 * canvas.stroke(line, width * 1.35, taper)
    )


def build_folds(landmarks: np.ndarray) -> dict[tuple[int, str], Fold]:
    """(unit, "left" or "right") -> Fold, placed by the template's landmarks [68, 3].

    The template is symmetric and so is the canvas: the right side mirrors the left.
    """
    folds, p = {}, canvas.flatten(landmarks)
    # Unit -> height in cm of its folds on the subject's left, x > 0.
    heights = {**_brow_folds(p), **_eye_folds(p), **_nose_folds(p), **_mouth_folds(p)}
    for unit, height in heights.items():
        darkness = 1.0 if unit in (4, 9, 10, 12) else 0.75
        folds[unit, "left"] = _fold(height, darkness)
        folds[unit, "right"] = _fold(height[:, ::-1], darkness)
    return folds


def _brow_folds(p: np.ndarray) -> dict[int, np.ndarray]:
    inner, middle, outer = p[22], p[24], p[26]

    def rows(start: float, stop: float, heights: tuple, lift: float) -> np.ndarray:
        lines = 0.0
        for index, above in enumerate(heights):
            y = middle[1] + above
            bend = y + lift + 0.12 * (-1) ** index
            points = [(start, y), ((start + stop) / 2, bend), (stop, y - 0.2)]
            lines = lines + _groove(points, 0.15, 0.12)
        return lines

    y = inner[1]
    furrow = _groove([(0.55, y - 0.9), (0.72, y + 0.1), (0.6, y + 1.0)], 0.24, 0.12)
    knot = 0.16 * canvas.spot((inner[0] + 0.35, y - 0.1), 0.5, 0.45)
    return {
        1: rows(-0.3, inner[0] + 1.7, (1.0, 1.75, 2.5), 0.0),
        2: rows(inner[0] + 1.3, outer[0] + 0.6, (1.0, 1.7, 2.4), 0.45),
        4: furrow + knot,
    }


def _eye_folds(p: np.ndarray) -> dict[int, np.ndarray]:
    (inner_x, inner_y), (x, y) = p[42], p[45]
    middle = (inner_x + x) / 2
    crow = 0.0
    for angle in (-0.45, -0.1, 0.25, 0.55):
        begin, end = (x + 0.45, y + 0.6 * angle), (x + 1.9, y + 2.3 * angle + 0.1)
        bend = ((begin[0] + end[0]) / 2, (begin[1] + end[1]) / 2 - 0.08)
        crow = crow + _groove([begin, bend, end], 0.11, 0.09)
    pouch = [(inner_x + 0.2, inner_y - 0.75), (middle, inner_y - 1.15), (x + 0.2, y - 0.7)]
    tight = [(inner_x + 0.1, inner_y - 0.4), (middle, inner_y - 0.62), (x, y - 0.45)]
    cheek = 0.35 * canvas.spot((x - 0.9, y - 2.6), 1.3, 0.8)
    return {6: crow + _groove(pouch, 0.13, 0.12) + cheek, 7: _groove(tight, 0.12, 0.08)}


def _nose_folds(p: np.ndarray) -> dict[int, np.ndarray]:
    root, wing, y = p[27, 1], p[35, 0], p[33, 1]
    bridge = 0.0
    for step in range(3):
        level = root + 0.25 - 0.55 * step
        points = [(-0.25, level + 0.1), (0.55, level), (1.25, level - 0.3)]
        bridge = bridge + _groove(points, 0.15, 0.1)
    snarl = [(wing + 0.1, y + 1.7), (wing + 0.5, y + 0.8), (wing + 1.1, y - 0.4)]
    return {9: bridge + _groove(snarl, 0.2, 0.14)}


def _mouth_folds(p: np.ndarray) -> dict[int, np.ndarray]:
    (x, y), chin, under = p[54], p[8], p[57, 1]
    top, end = (p[35, 0] + 0.35, p[33, 1] + 0.7), (x + 0.75, y - 0.2)
    bend = ((top[0] + end[0]) / 2 + 0.55, (top[1] + end[1]) / 2 + 0.15)
    pouched = [top, (bend[0], bend[1] + 0.3), (end[0] + 0.1, end[1] + 0.9)]
    dimple = [(x + 0.45, y + 0.7), (x + 0.7, y), (x + 0.45, y - 0.7)]
    below = [(x + 0.25, y - 0.15), (x + 0.5, y - 0.9), (x + 0.3, y - 1.8)]
    chin_line = [(0.0, chin[1] + 2.15), (0.8, chin[1] + 2.05), (1.6, chin[1] + 1.6)]
    pressed = [(0.2, under - 0.5), (1.2, under - 0.4), (2.0, y - 0.4)]
    stretch = 0.0
    for out in (x + 0.7, x + 1.25):
        points = [(out - 0.2, y + 1.0), (out + 0.1, y - 0.1), (out - 0.25, y - 1.3)]
        stretch = stretch + _groove(points, 0.13, 0.12)
    return {
        10: _groove(pouched, 0.2, 0.15),
        12: _groove([top, bend, end], 0.16, 0.17, 0.45),
        14: _groove(dimple, 0.24, 0.13),
        15: _groove(below, 0.2, 0.14),
        17: _groove(chin_line, 0.2, 0.13, 0.2) + _pebbles(chin),
        18: _spokes(p, 0.045),
        20: stretch,
        23: _spokes(p, 0.06),
        24: _groove(pressed, 0.14, 0.13),
    }


def _pebbles(chin: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(17)
    bumps = canvas.noise(rng, 0.28) * 0.036
    half = 0.5 + 0.5 * np.tanh(canvas.X / 0.3)
    return bumps * half * canvas.spot((chin[0], chin[1] + 0.9), 1.0, 0.75)


def _spokes(p: np.ndarray, depth: float) -> np.ndarray:
    """Fine lines that run from the lips outward."""
    lines = 0.0
    for x in (0.35, 0.95, 1.55):
        top, bottom = p[51, 1] + 0.12, p[57, 1] - 0.1
        for y, direction in ((top, 1), (bottom, -1)):
            points = [(x, y - 0.1 * x * direction), (x + 0.08, y + 0.3 * direction),
                      (x + 0.15, y + 0.6 * direction)]  # fmt: skip
            lines = lines + _groove(points, depth, 0.07)
    return lines


def ageing_folds(folds: dict[tuple[int, str], Fold], amount: float) -> dict:
    """Weights of the folds in an old face at rest; weak, so that AUs stay readable."""
    lasting = {1: 0.3, 2: 0.25, 6: 0.25, 12: 0.35, 15: 0.25, 4: 0.12}
    weak = max(amount - 0.25, 0.0)
    return {key: lasting[key[0]] * weak for key in folds if key[0] in lasting and weak > 0}
