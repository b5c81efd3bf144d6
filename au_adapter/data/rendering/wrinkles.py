"""Furrows that a moving unit folds into the skin, as height fields on the flat skin.

The morphable model's shapes move the skin but hardly crease it; without creases a lowered brow
or a wrinkled nose is lost in a small picture. Where each fold lies: FACS, facts of section 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import canvas

TEXEL = 2 * canvas.ACROSS / canvas.WIDTH


@dataclass(frozen=True)
class Fold:
    """One side's fold: slopes (across, up) and cavity over a window of the canvas."""

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


def _mirror(points, side: int) -> list[tuple[float, float]]:
    return [(x * side, y) for x, y in points]


def build_folds(landmarks: np.ndarray) -> dict[tuple[int, str], Fold]:
    """(unit, "left" or "right") -> Fold, placed by the template's landmarks [68, 3]."""
    p = canvas.flatten(landmarks)
    folds = {}
    for side, name in ((1, "left"), (-1, "right")):
        for unit, height in _heights(p, side).items():
            folds[unit, name] = _fold(height, 1.0 if unit in (4, 9, 12, 10) else 0.75)
    return folds


def _heights(p: np.ndarray, side: int) -> dict[int, np.ndarray]:
    """Unit -> height in cm of one side's folds; landmarks of the subject's left are +x."""
    brow = np.abs(p[22:27]) * (1, 1)
    outer_eye, inner_eye = np.abs(p[45]), np.abs(p[42])
    wing, corner, chin = np.abs(p[35, 0]), p[54], p[8]
    nose_y, root_y = p[33, 1], p[27, 1]

    def groove(points, depth, width, taper=0.3):
        return _groove(_mirror(points, side), depth, width, taper)

    def rows(start, stop, heights, depth, width, lift=0.0):
        lines = 0.0
        for index, above in enumerate(heights):
            wave = 0.12 * (-1) ** index
            middle = (start + stop) / 2
            lines = lines + groove(
                [(start, brow[2, 1] + above), (middle, brow[2, 1] + above + lift + wave),
                 (stop, brow[2, 1] + above - 0.2)], depth, width)  # fmt: skip
        return lines

    x_in, x_out = brow[0, 0], brow[4, 0]
    fold_top = (wing + 0.35, nose_y + 0.7)
    fold_end = (abs(corner[0]) + 0.75, corner[1] - 0.2)
    fold_middle = ((fold_top[0] + fold_end[0]) / 2 + 0.55, (fold_top[1] + fold_end[1]) / 2 + 0.15)
    nasolabial = [fold_top, fold_middle, fold_end]
    crow = 0.0
    for angle in (-0.45, -0.1, 0.25, 0.55):
        begin = (outer_eye[0] + 0.45, outer_eye[1] + 0.6 * angle)
        end = (outer_eye[0] + 1.9, outer_eye[1] + 2.3 * angle + 0.1)
        bend = ((begin[0] + end[0]) / 2, (begin[1] + end[1]) / 2 - 0.08)
        crow = crow + groove([begin, bend, end], 0.11, 0.09)
    pouch = groove(
        [(inner_eye[0] + 0.2, inner_eye[1] - 0.75), ((inner_eye[0] + outer_eye[0]) / 2,
         inner_eye[1] - 1.15), (outer_eye[0] + 0.2, outer_eye[1] - 0.7)], 0.13, 0.12)  # fmt: skip
    cheek = 0.35 * canvas.spot((side * (outer_eye[0] - 0.9), outer_eye[1] - 2.6), 1.3, 0.8)
    bridge = 0.0
    for step in range(3):
        y = root_y + 0.25 - 0.55 * step
        bridge = bridge + groove([(-0.25, y + 0.1), (0.55, y), (1.25, y - 0.3)], 0.15, 0.1)
    snarl = groove([(wing + 0.1, nose_y + 1.7), (wing + 0.5, nose_y + 0.8),
                    (wing + 1.1, nose_y - 0.4)], 0.2, 0.14)  # fmt: skip
    glabella = groove([(0.55, brow[0, 1] - 0.9), (0.72, brow[0, 1] + 0.1), (0.6, brow[0, 1] + 1.0)],
                      0.24, 0.12)  # fmt: skip
    knot = 0.16 * canvas.spot((side * (x_in + 0.35), brow[0, 1] - 0.1), 0.5, 0.45)
    under_corner = groove([(abs(corner[0]) + 0.25, corner[1] - 0.15), (abs(corner[0]) + 0.5,
                          corner[1] - 0.9), (abs(corner[0]) + 0.3, corner[1] - 1.8)], 0.2, 0.14)  # fmt: skip
    dimple = groove([(abs(corner[0]) + 0.45, corner[1] + 0.7), (abs(corner[0]) + 0.7, corner[1]),
                     (abs(corner[0]) + 0.45, corner[1] - 0.7)], 0.24, 0.13)  # fmt: skip
    stretch = 0.0
    for step in (0.7, 1.25):
        x = abs(corner[0]) + step
        stretch = stretch + groove([(x - 0.2, corner[1] + 1.0), (x + 0.1, corner[1] - 0.1),
                                    (x - 0.25, corner[1] - 1.3)], 0.13, 0.12)  # fmt: skip
    chin_line = groove([(0.0, chin[1] + 2.15), (0.8, chin[1] + 2.05), (1.6, chin[1] + 1.6)],
                       0.2, 0.13, 0.2)  # fmt: skip
    return {
        1: rows(-0.3, x_in + 1.7, (1.0, 1.75, 2.5), 0.15, 0.12),
        2: rows(x_in + 1.3, x_out + 0.6, (1.0, 1.7, 2.4), 0.14, 0.12, 0.45),
        4: glabella + knot,
        6: crow + pouch + cheek,
        7: groove([(inner_eye[0] + 0.1, inner_eye[1] - 0.4), ((inner_eye[0] + outer_eye[0]) / 2,
                   inner_eye[1] - 0.62), (outer_eye[0], outer_eye[1] - 0.45)], 0.12, 0.08),
        9: bridge + snarl,
        10: groove([fold_top, (fold_middle[0], fold_middle[1] + 0.3),
                    (fold_end[0] + 0.1, fold_end[1] + 0.9)], 0.2, 0.15),
        12: groove(nasolabial, 0.19, 0.17, 0.4),
        14: dimple,
        15: under_corner,
        17: chin_line + _pebbles(chin, side),
        18: _spokes(p, side, 0.045),
        20: stretch,
        23: _spokes(p, side, 0.06),
        24: groove([(0.2, p[57, 1] - 0.5), (1.2, p[57, 1] - 0.4), (2.0, corner[1] - 0.4)],
                   0.14, 0.13),
    }  # fmt: skip


def _pebbles(chin: np.ndarray, side: int) -> np.ndarray:
    rng = np.random.default_rng(17)
    bumps = canvas.noise(rng, 0.28) * 0.055
    half = 0.5 + 0.5 * np.tanh(side * canvas.X / 0.3)
    return bumps * half * canvas.spot((chin[0], chin[1] + 0.9), 1.0, 0.75)


def _spokes(p: np.ndarray, side: int, depth: float) -> np.ndarray:
    """Fine lines that run from the lips outward."""
    lines = 0.0
    for x in (0.35, 0.95, 1.55):
        top, bottom = p[51, 1] + 0.12, p[57, 1] - 0.1
        for y, direction in ((top, 1), (bottom, -1)):
            points = [(side * x, y - 0.1 * x * direction),
                      (side * (x + 0.08), y + 0.3 * direction),
                      (side * (x + 0.15), y + 0.6 * direction)]  # fmt: skip
            lines = lines + _groove(points, depth, 0.07)
    return lines


def ageing_folds(folds: dict[tuple[int, str], Fold], amount: float) -> dict:
    """Weights of the folds that stay in an ageing face at rest; kept weak so units stay plain."""
    lasting = {1: 0.3, 2: 0.25, 6: 0.25, 12: 0.35, 15: 0.25, 4: 0.12}
    weak = max(amount - 0.25, 0.0)
    return {key: lasting[key[0]] * weak for key in folds if key[0] in lasting and weak > 0}
