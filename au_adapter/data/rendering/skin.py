"""The painted skin of one person: colour, shine and relief on the flat skin."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

from . import canvas
from .sample import Person
from .wrinkles import Fold, ageing_folds, build_folds

DETAIL = 3  # hairs are drawn finer than the canvas, then averaged down


class SkinPainter:
    """Paints people; holds the masks that all of them share, placed by landmarks [68, 3]."""

    def __init__(self, landmarks: np.ndarray):
        self.flat = canvas.flatten(landmarks)
        self.folds: dict[tuple[int, str], Fold] = build_folds(landmarks)
        p = self.flat
        upper, lower = canvas.curve(p[48:55], 40), canvas.curve([p[54], *p[55:60], p[48]], 40)
        self.lips = _polygon(np.concatenate([upper, lower]), 0.8)
        self.lip_line = canvas.stroke(canvas.curve(p[60:65]), 0.07, 0.05)
        self.lid_line = _lid_lines(p)
        self.lashes = _lashes(p)
        self.cheeks = sum(canvas.spot((s * 5.2, p[33, 1] + 1.2), 1.7, 1.5) for s in (-1, 1))
        self.nose = canvas.spot(p[30] - (0, 0.4), 1.3, 0.9)
        self.sockets = sum(
            canvas.spot((s * p[42:48, 0].mean(), p[42, 1] - 0.55), 1.2, 0.55) for s in (-1, 1)
        )
        self.lids = sum(
            canvas.spot((s * p[42:48, 0].mean(), p[43, 1] + 0.45), 1.3, 0.4) for s in (-1, 1)
        )
        self.shine = (
            canvas.spot((0, p[19, 1] + 2.0), 3.0, 1.3)
            + canvas.spot(p[30], 0.8, 1.4)
            + canvas.spot((0, p[28, 1]), 0.5, 1.6)
            + 0.7 * canvas.spot(p[8] + (0, 1.0), 1.0, 0.7)
            + sum(0.7 * canvas.spot((s * 4.6, p[36, 1] - 2.0), 1.4, 0.9) for s in (-1, 1))
        ).clip(0, 1)
        self.beard, self.moustache = _beard_masks(p)

    def paint(self, person: Person) -> np.ndarray:
        """Albedo and shine as bytes [HEIGHT, WIDTH, 4]."""
        rng = np.random.default_rng(person.texture_seed)
        colour = self._bare_skin(person, rng)
        colour = self._freckles(colour, person, rng)
        colour = self._beard(colour, person, rng)
        tint = np.array(person.lip_tint, np.float32)
        tint = tint * (1 + 0.05 * canvas.noise(rng, 0.12)[..., None])
        colour = _mix(colour, tint, self.lips * (0.72 + 0.25 * person.makeup))
        colour = colour * (1 - 0.35 * self.lip_line[..., None])
        lid = np.array(person.brow_tint) * 0.35
        shadow = np.array([0.32, 0.2, 0.2]) * (0.5 + np.array(person.skin_colour))
        colour = _mix(colour, shadow, np.clip(self.lids * 0.45 * person.makeup, 0, 1))
        colour = _mix(colour, lid, self.lid_line * (0.6 + 0.35 * person.makeup))
        colour = _mix(colour, lid, self.lashes * (0.75 * person.makeup))
        colour = self._brows(colour, person, rng)
        colour = self._scalp(colour, person, rng)
        shine = 0.25 + 0.55 * self.shine + 0.35 * self.lips * (0.5 + person.makeup)
        painted = np.concatenate([colour, shine[..., None]], -1)
        return (painted.clip(0, 1) * 255 + 0.5).astype(np.uint8)

    def relief(self, person: Person, left: dict[int, float], right: dict[int, float]) -> np.ndarray:
        """Slopes (across, up) and cavity of the folds, float16 [HEIGHT, WIDTH, 4]."""
        field = np.zeros((canvas.HEIGHT, canvas.WIDTH, 4), np.float32)
        weights, deep = ageing_folds(self.folds, person.age_amount), 0.8 + 0.45 * person.age_amount
        for side, units in (("left", left), ("right", right)):
            for unit, value in units.items():
                if (unit, side) in self.folds:
                    old = weights.get((unit, side), 0.0)
                    weights[unit, side] = old + min(value / 5, 1.2) * deep
        for key, weight in weights.items():
            fold = self.folds[key]
            field[fold.rows, fold.columns, :2] += fold.slope * np.float32(weight)
            field[fold.rows, fold.columns, 2] += fold.cavity * np.float32(weight)
        return field.astype(np.float16)

    def _bare_skin(self, person: Person, rng: np.random.Generator) -> np.ndarray:
        base = np.array(person.skin_colour, np.float32)
        colour = np.broadcast_to(base, (*canvas.X.shape, 3)).copy()
        light = float(base.mean())
        red = (0.8 * self.cheeks + 0.7 * self.nose) * person.redness * (0.6 + 0.4 * person.makeup)
        blush = np.array([0.02, -0.10, -0.09], np.float32) * (0.3 + 0.9 * light)
        colour += red[..., None] * blush
        colour *= 1 - self.sockets[..., None] * (0.08 + 0.14 * person.age_amount) * [0.7, 1, 0.85]
        blotch = canvas.noise(rng, 1.1) * 0.018 + canvas.noise(rng, 0.35) * 0.014
        pores = canvas.noise(rng, 0.1) * (0.012 + 0.012 * person.age_amount)
        colour *= 1 + (blotch + pores)[..., None] * [0.8, 1.1, 1.0]
        return colour.astype(np.float32)

    def _freckles(self, colour: np.ndarray, person: Person, rng: np.random.Generator) -> np.ndarray:
        dots = np.clip(canvas.noise(rng, 0.16) - 1.2, 0, 1)
        where = np.clip(self.cheeks + canvas.spot((0, 1.6), 3.2, 1.6), 0.12, 1)
        amount = dots * where * person.freckles * 0.75
        spots = np.clip(canvas.noise(rng, 0.3) - 2.0, 0, 1) * max(person.age_amount - 0.5, 0)
        return _mix(colour, np.array([0.5, 0.28, 0.16]), np.clip(amount + 0.6 * spots, 0, 0.8))

    def _beard(self, colour: np.ndarray, person: Person, rng: np.random.Generator) -> np.ndarray:
        if person.beard == "none":
            shade = 0.10 if person.gender == "man" else 0.0
            where = np.clip(self.beard + self.moustache, 0, 1)
            return colour * (1 - shade * where[..., None] * [1.0, 0.85, 0.7])
        where = self.moustache if person.beard == "moustache" else self.beard + self.moustache
        grain = canvas.noise(rng, 0.11)
        strength = {"stubble": 0.34, "beard": 0.86, "moustache": 0.86}[person.beard]
        edge = np.clip((where + 0.12 * grain - 0.25) * 2.2, 0, 1)
        amount = edge * strength * np.clip(0.92 + 0.14 * grain, 0, 1.1)
        tint = np.array(person.hair_tint)[None, None] * (0.9 + 0.14 * grain[..., None])
        return _mix(colour, tint.clip(0.02, 1), amount.clip(0, 0.96) * (1 - self.lips))

    def _brows(self, colour: np.ndarray, person: Person, rng: np.random.Generator) -> np.ndarray:
        size = canvas.WIDTH * DETAIL, canvas.HEIGHT * DETAIL
        picture = Image.new("L", size)
        draw = ImageDraw.Draw(picture)
        spread = 0.06 + 0.28 * person.brow_strength
        for side in (1, -1):
            for hair in _brow_hairs(self.flat, side, spread, rng):
                ends = canvas.to_texels(hair) * DETAIL
                draw.line([tuple(e) for e in ends], fill=int(rng.integers(110, 235)), width=1)
        hairs = np.asarray(picture, np.float32) / 255
        hairs = hairs.reshape(canvas.HEIGHT, DETAIL, canvas.WIDTH, DETAIL).mean((1, 3))
        amount = hairs * 0.95 + 0.75 * gaussian_filter(hairs, 1.2)
        amount = (amount * (0.8 + 0.5 * person.brow_strength)).clip(0, 0.95)
        return _mix(colour, np.array(person.brow_tint), amount)

    def _scalp(self, colour: np.ndarray, person: Person, rng: np.random.Generator) -> np.ndarray:
        """The shade of hair roots under and just before the hair's edge."""
        line = 10.8 + person.hairline - 0.02 * canvas.X**2  # height of the hairline, cm
        edge = canvas.Y - 0.15 * canvas.noise(rng, 0.5) - line
        amount = np.clip(edge / 1.2 + 0.35, 0, 1)
        amount = amount * (0.12 if person.hair_style == "bald" else 0.55)
        return _mix(colour, np.array(person.hair_tint) * 0.8, amount)


def _mix(a: np.ndarray, b: np.ndarray, amount: np.ndarray) -> np.ndarray:
    amount = amount[..., None]
    return a * (1 - amount) + np.asarray(b, np.float32) * amount


def _polygon(points: np.ndarray, soft: float) -> np.ndarray:
    """A filled flat polygon, antialiased and softened [HEIGHT, WIDTH]."""
    picture = Image.new("L", (canvas.WIDTH * DETAIL, canvas.HEIGHT * DETAIL))
    ImageDraw.Draw(picture).polygon([tuple(q) for q in canvas.to_texels(points) * DETAIL], fill=255)
    mask = np.asarray(picture, np.float32) / 255
    mask = mask.reshape(canvas.HEIGHT, DETAIL, canvas.WIDTH, DETAIL).mean((1, 3))
    return gaussian_filter(mask, soft)


def _lid_lines(p: np.ndarray) -> np.ndarray:
    """Dark lash roots along the upper lid, fainter along the lower."""
    lines = np.zeros_like(canvas.X)
    for corner, top, bottom in ((36, (37, 38, 39), (41, 40)), (45, (44, 43, 42), (46, 47))):
        upper = canvas.curve([p[corner], *p[list(top)]])
        lower = canvas.curve([p[corner], *p[list(bottom)], p[top[-1]]])
        lines = np.maximum(lines, canvas.stroke(upper, 0.11, 0.1))
        lines = np.maximum(lines, 0.35 * canvas.stroke(lower, 0.06, 0.3))
    return lines


def _lashes(p: np.ndarray) -> np.ndarray:
    """The wider band that made-up upper lashes cover, with a flick at the outer corner."""
    band = np.zeros_like(canvas.X)
    for side, points in ((-1, p[36:40]), (1, p[[45, 44, 43, 42]])):
        flick = points[0] + (side * 0.55, 0.28)
        line = canvas.curve([flick, *(points + (0, 0.05))])
        band = np.maximum(band, canvas.stroke(line, 0.14, 0.35))
    return band


def _brow_hairs(p: np.ndarray, side: int, spread: float, rng: np.random.Generator):
    """Short lines [2, 2] that lean outward, upright at the inner end."""
    brow = np.abs(p[22:27]) - (0, 0.35)
    line = canvas.curve(brow * (side, 1), 40)
    for _ in range(420):
        t = rng.beta(1.15, 1.25)
        centre = line[min(int(t * 39), 39)]
        thick = spread * (1 - 0.72 * max(t - 0.45, 0) / 0.55) * (0.75 + 0.5 * min(t / 0.2, 1) / 1)
        root = centre + (0, rng.uniform(-1, 1) * thick)
        angle = 1.25 - 1.35 * min(t / 0.55, 1) + rng.normal(0, 0.22)
        length = rng.uniform(0.3, 0.55)
        yield np.stack([root, root + length * np.array([side * np.cos(angle), np.sin(angle)])])


def _beard_masks(p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where a full beard and a moustache grow [HEIGHT, WIDTH] each."""
    chin, nose, lip, low_lip = p[8, 1], p[33, 1], p[51, 1], p[57, 1]
    x, y = abs(p[54, 0]), p[54, 1]
    edge = [(11.5, 3.0), (9.6, 0.0), (7.6, -2.2), (x + 1.1, y + 0.3), (x + 0.35, y - 0.6)]
    edge += [(1.6, low_lip - 0.75), (0.0, low_lip - 0.55), (0.0, chin - 3.2), (8.0, chin - 2.5)]
    left = np.array([*edge, (13.0, -3.0), (12.6, 3.0)])
    beard = _polygon(left, 2.0) + _polygon(left * (-1, 1), 2.0)
    half = [(0, nose - 0.35), (1.3, nose - 0.5), (x + 0.4, y + 0.2), (x + 0.5, y - 0.7)]
    half = np.array([*half, (x + 0.05, y - 0.1), (1.0, lip + 0.15), (0, lip + 0.1)])
    moustache = _polygon(half, 1.2) + _polygon(half * (-1, 1), 1.2)
    return beard.clip(0, 1), moustache.clip(0, 1)
