"""Hair as a shell over the skull; its style sets strands, hairline and volume."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .sample import Person

CENTRE = np.array([0.0, 4.0, 0.3], np.float32)
AZIMUTHS, CAP_ROWS, DROP_ROWS = 73, 30, 14
CAP_END = np.radians(112)
DROP_START = 22  # row of the cap from which long hair hangs straight down

# Of half a hairline: degrees from the front, height in cm.
_SHORT_LINE = (
    (0, 10.6), (18, 10.8), (32, 10.7), (43, 9.4), (52, 8.2), (61, 6.9), (68, 4.8), (75, 1.6),
    (80, 1.4), (86, 4.4), (93, 5.4), (104, 3.0), (125, -1.0), (180, -3.5),
)  # fmt: skip
_TIED_LINE = (
    (0, 10.9), (26, 10.5), (42, 9.0), (54, 7.4), (64, 5.6), (76, 4.0), (86, 4.2), (96, 5.2),
    (115, 2.0), (140, -1.0), (180, -3.5),
)  # fmt: skip
_LOOSE_LINE = (
    (0, 10.7), (14, 10.4), (28, 9.6), (40, 8.2), (48, 6.6), (54, 4.5), (60, 1.0), (66, -4.0),
    (180, -4.0),
)  # fmt: skip


@dataclass(frozen=True)
class Style:
    """A hair style; lengths in cm."""

    thickness: float
    end: float | None = None  # height to which long hair hangs
    edge: float = 62.0  # degrees from the front where hanging hair begins
    front: float = 0.0  # lowers the hairline over the forehead
    back_flow: bool = False
    rough: float = 1.0
    curl: float = 0.0  # how far strands swing to both sides


STYLES: dict[str, Style] = {
    "cropped": Style(0.35, rough=0.4),
    "short": Style(1.15, rough=0.8),
    "swept": Style(1.7, rough=1.0, back_flow=True),
    "curly": Style(2.3, rough=1.7, curl=1.0),
    "tied": Style(0.6, rough=0.4, back_flow=True),
    "long": Style(1.3, end=-14.0, edge=56.0),
    "bob": Style(1.5, end=-6.0, edge=55.0),
    "fringe": Style(1.1, end=-12.0, edge=57.0, front=-2.2),
}


class HairMaker:
    """Builds hair on a person's skull, whose vertices are those of the template."""

    def __init__(self, template: np.ndarray):
        x, y, z = np.abs(template[:, 0]), template[:, 1], template[:, 2]
        ear = (x > 7.75) & (y < 6.0)
        self.skull = np.flatnonzero((y > -3) & ~ear & ((y > 2) | (z < 2)))
        self.azimuth = np.linspace(-np.pi, np.pi, AZIMUTHS, dtype=np.float32)
        self.polar = np.linspace(0, CAP_END, CAP_ROWS, dtype=np.float32)
        polar, azimuth = np.meshgrid(self.polar, self.azimuth, indexing="ij")
        self.direction = np.stack(
            [np.sin(polar) * np.sin(azimuth), np.cos(polar), np.sin(polar) * np.cos(azimuth)], -1
        ).astype(np.float32)
        self.forehead = np.clip(1.6 - np.abs(self.azimuth) / 0.75, 0, 1)
        self.weights = self._weights(template)
        self.template_skull = self._skull(template)

    def _weights(self, template: np.ndarray) -> np.ndarray:
        arms = template[self.skull] - CENTRE
        arms /= np.linalg.norm(arms, axis=1, keepdims=True) + 1e-9
        cosine = self.direction.reshape(-1, 3) @ arms.T
        weights = np.exp((cosine - 1) / 0.006)
        lonely = weights.sum(1, keepdims=True) < 1e-3
        weights = np.where(lonely, np.exp((cosine - 1) / 0.05), weights)
        return (weights / weights.sum(1, keepdims=True)).astype(np.float32)

    def _skull(self, vertices: np.ndarray) -> np.ndarray:
        radius = np.linalg.norm(vertices[self.skull] - CENTRE, axis=1)
        smooth = (self.weights @ radius).reshape(CAP_ROWS, AZIMUTHS, 1)
        return CENTRE + self.direction * smooth

    def build(self, person: Person, vertices: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """The hair of a person with these neutral vertices; None for a bald one.

        Vertices [N, 13]: position, normal, tangent, flow angle as cosine and sine, distance, cover;
        and triangles [T, 3].
        """
        if person.hair_style == "bald":
            return None
        style = STYLES[person.hair_style]
        rng = np.random.default_rng([person.texture_seed, 3])
        skull, height = self._skull(vertices), self.template_skull[..., 1]
        cover = _cover(style, person.hairline, height, self.azimuth)
        edge = np.clip(1 - np.abs(cover) / 3, 0, 1)
        # How far the locks reach past a straight edge, about 0.3 cm.
        swings = (np.sin(n * self.azimuth + rng.uniform(0, 6.28)) for n in (4, 7, 11, 17, 26))
        cover = cover + sum(swing * 0.16 for swing in swings) * style.rough * edge
        rise = np.clip(cover / 1.9, 0, 1)
        rise = rise * rise * (3 - 2 * rise)
        waves = _waves(rng, self.azimuth, self.polar) * style.rough
        # Raised brows push the forehead out: a fringe has to stay in front of it.
        spare = 0.6 if style.front < 0 else 0.0
        full = style.thickness * person.volume * rise * (1 + 0.2 * waves)
        thick = 0.12 + spare * self.forehead + full
        thick = thick * np.where(height > 9, 1.15, 1.0)
        points = skull + self.direction * thick[..., None]
        if style.end is not None:
            points, cover = self._hang(points, cover, style, person, rng)
        return _assemble(points, cover, self._pole(style, person))

    def _hang(self, points, cover, style: Style, person: Person, rng) -> tuple:
        cap, cover = points[: DROP_START + 1], cover[: DROP_START + 1]
        last = cap[-1]
        flat = last[:, [0, 2]]
        reach = np.linalg.norm(flat, axis=1)
        wave = 0.35 * np.sin(3 * self.azimuth + rng.uniform(0, 6)) + rng.normal(0, 0.2)
        t = np.linspace(0, 1, DROP_ROWS + 1, dtype=np.float32)[1:, None]
        swell = 1 + (0.06 + 0.05 * person.volume) * np.sin(np.pi * np.minimum(t * 0.8, 1))
        sway = 1 + 0.012 * wave * np.sin(t * 9 + rng.uniform(0, 6))
        wide = np.maximum(reach, 8.9)[None] * swell * sway
        grow = np.clip(t * 4, 0, 1)
        radius = reach[None] * (1 - grow) + wide * grow
        unit = flat / (reach[:, None] + 1e-9)
        y = last[:, 1] + t * (style.end - last[:, 1])
        hanging = np.stack([unit[:, 0] * radius, y, unit[:, 1] * radius], -1)
        edge = style.edge + 4 * np.sin(np.pi * t) + 3 * person.part * np.sign(self.azimuth)
        side = (np.degrees(np.abs(self.azimuth))[None] - edge) * 0.14
        side = np.minimum(side, (y - style.end) + 0.15)
        return np.concatenate([cap, hanging]), np.concatenate([cover, side])

    def _pole(self, style: Style, person: Person) -> np.ndarray:
        pole = np.array([0.45 * person.part, 1.0, 0.3])
        if style.back_flow:
            pole = np.array([0.9 * person.part, -0.15, 1.0])
        elif style.front < 0:
            pole = np.array([0.0, 1.0, -0.1])
        elif style.end is None:
            pole = np.array([0.1 * person.part, 1.0, -0.55])
        return pole / np.linalg.norm(pole)


def _cover(style: Style, hairline: float, height: np.ndarray, azimuth: np.ndarray) -> np.ndarray:
    """Centimetres above the hairline; negative where skin shows [CAP_ROWS, AZIMUTHS]."""
    loose = _LOOSE_LINE if style.end is not None else _SHORT_LINE
    table = np.array(_TIED_LINE if style.back_flow else loose)
    degrees = np.degrees(np.abs(azimuth))
    line = np.interp(degrees, table[:, 0], table[:, 1])
    forehead = np.clip(1 - degrees / 62, 0, 1)
    line = line + hairline * np.clip(forehead * 3, 0, 1)
    line = line + style.front * np.clip(forehead * 2.2, 0, 1)
    cover = height - line
    if style.end is not None:
        side = (degrees - style.edge)[None] * 0.14
        cover = np.maximum(cover, np.where(height < 9, side, -9))
    return cover


def _waves(rng: np.random.Generator, azimuth: np.ndarray, polar: np.ndarray) -> np.ndarray:
    """Low-frequency lumps of about unit size [CAP_ROWS, AZIMUTHS]."""
    waves = 0.0
    for frequency in (2, 3, 5, 9, 14):
        phase, tilt = rng.uniform(0, 6.28, 2)
        waves = waves + np.sin(frequency * azimuth + phase + 3 * polar[:, None]) * np.sin(
            frequency * 0.8 * polar[:, None] + tilt
        ) / np.sqrt(frequency)
    return waves


def _assemble(
    points: np.ndarray, cover: np.ndarray, pole: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = points.shape[:2]
    down, normal = np.gradient(points, axis=0), outward_normals(points, CENTRE)
    arm = unit(points - CENTRE)
    side = unit(np.cross(pole, [0.0, 0.0, 1.0]) if abs(pole[2]) < 0.9 else np.array([1.0, 0, 0]))
    front = np.cross(side, pole)
    angle = np.arctan2(arm @ side, arm @ front)
    tangent = arm * (arm @ pole)[..., None] - pole
    hanging = np.zeros((rows, 1), np.float32)
    hanging[CAP_ROWS - 6 :] = 1.0 if rows > CAP_ROWS else 0.0
    tangent = unit(unit(tangent) * (1 - hanging[..., None]) + unit(down) * hanging[..., None])
    distance = np.arccos(np.clip(arm @ pole, -1, 1)) * 9
    flow = np.stack([np.cos(angle), np.sin(angle), distance, cover], -1)
    vertices = np.concatenate([points, normal, tangent, flow], -1).reshape(-1, 13)
    triangles = grid_triangles(rows, columns)
    shown = (cover.ravel()[triangles] > -1.2).any(1)
    return vertices.astype(np.float32), triangles[shown]


def outward_normals(points: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Unit normals [rows, columns, 3] of a grid of points, away from `centre`."""
    normal = unit(np.cross(np.gradient(points, axis=0), np.gradient(points, axis=1)))
    inward = (normal * (points - centre)).sum(-1, keepdims=True) < 0
    return np.where(inward, -normal, normal)


def grid_triangles(rows: int, columns: int) -> np.ndarray:
    """The triangles [T, 3] between the points of a grid, numbered row by row."""
    i, j = np.meshgrid(np.arange(rows - 1), np.arange(columns - 1), indexing="ij")
    a = (i * columns + j).ravel()
    b, c, d = a + 1, a + columns, a + columns + 1
    return np.concatenate([np.stack([a, c, b], 1), np.stack([b, c, d], 1)])


def unit(vectors: np.ndarray) -> np.ndarray:
    """The vectors [..., 3], each of length 1."""
    return vectors / (np.linalg.norm(vectors, axis=-1, keepdims=True) + 1e-9)
