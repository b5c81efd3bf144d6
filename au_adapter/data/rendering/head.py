"""The morphable head: FACS units and identity weights in, vertices, normals and landmarks out.

Reads ICT-FaceKit's light model (MIT licence) as one npz. Lengths are centimetres, y is up, z
points to the viewer and x to the subject's left.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError

import numpy as np
import scipy.sparse as sparse

from ...disk import damage_named

# First and last vertex of every part, from ICT-FaceKit's documentation.
PARTS = {
    "face": (0, 9408), "head": (9409, 11247), "mouth_socket": (11248, 13293),
    "eye_sockets": (13294, 14061), "gums_tongue": (14062, 17038), "teeth": (17039, 21450),
    "outer_eye_left": (21451, 22220), "inner_eye_left": (22221, 23020),
    "outer_eye_right": (23021, 23790), "inner_eye_right": (23791, 24590),
    "tear_and_occlusion": (24591, 25350), "lashes": (25351, 26718),
}  # fmt: skip
VERTEX_COUNT = 26719
LARGEST_ARRAY = 2**28  # bytes; the model's largest has 17 million

# Multi-PIE 68 landmarks: 0-16 jaw, 17-26 brows, 27-35 nose, 36-47 eyes, 48-67 mouth.
LANDMARKS_68 = (
    1225, 1888, 1052, 367, 1719, 1722, 2199, 1447, 966, 3661, 4390, 3927, 3924, 2608, 3272, 4088,
    3443, 268, 493, 1914, 2044, 1401, 3615, 4240, 4114, 2734, 2509, 978, 4527, 4942, 4857, 1140,
    2075, 1147, 4269, 3360, 1507, 1542, 1537, 1528, 1518, 1511, 3742, 3751, 3756, 3721, 3725, 3732,
    5708, 5695, 2081, 0, 4275, 6200, 6213, 6346, 6461, 5518, 5957, 5841, 5702, 5711, 5533, 6216,
    6207, 6470, 5517, 5966,
)  # fmt: skip

# Unit -> gain of each shape at intensity 5, chosen by eye at full strength.
# Brows exceed the raw shape, which is too faint at 128 pixels.
# 17 takes both shrugs so that the lips stay closed; 23 has no shape and is approximated.
AU_SHAPES: dict[int, dict[str, float]] = {
    1: {"browInnerUp": 1.45},
    2: {"browOuterUp": 1.3},
    4: {"browDown": 1.5},
    5: {"eyeWide": 1.6},
    6: {"cheekSquint": 1.1, "cheekRaiser": 0.8, "eyeSquint": 0.25},
    7: {"eyeSquint": 1.6},
    9: {"noseSneer": 1.15, "browDown": 0.25},
    10: {"mouthUpperUp": 1.0},
    12: {"mouthSmile": 1.0},
    14: {"mouthDimple": 1.1},
    15: {"mouthFrown": 1.3},
    16: {"mouthLowerDown": 1.0},
    17: {"mouthShrugLower": 1.0, "mouthShrugUpper": 0.7},
    18: {"mouthPucker": 1.0},
    20: {"mouthStretch": 1.15},
    22: {"mouthFunnel": 1.0},
    23: {"mouthPress": 0.5, "mouthRollUpper": 0.3, "mouthRollLower": 0.3},
    24: {"mouthPress": 1.15},
    25: {"mouthLowerDown": 0.6, "mouthUpperUp": 0.2, "jawOpen": 0.08},
    26: {"jawOpen": 0.55},
    27: {"jawOpen": 1.0},
    43: {"eyeBlink": 1.04},
}
UNITS = tuple(AU_SHAPES)
# One shape opens the jaw: FACS calls its smaller half 26, and what goes beyond it 27.
JAW_DROP, JAW_STRETCH = AU_SHAPES[26]["jawOpen"], AU_SHAPES[27]["jawOpen"]
# Centimetres between the inner lips that each unit adds for one step of intensity: measured on the
# mean head at intensity 5.
GAPS = {9: 0.15, 10: 0.14, 16: 0.13, 22: 0.27, 25: 0.16, 26: 0.36, 27: 0.65}
MIDDLE_UNITS = (17, 18, 22, 23, 25, 26, 27)  # shapes that cannot be driven on one side
GAZE_SHAPES = ("eyeLookUp", "eyeLookDown", "eyeLookIn", "eyeLookOut")
LIP_GAP = 0.02  # cm between the inner lips of a closed mouth; the template leaves 0.08
MODES = 60  # identity modes in use; the rest is below what a small picture shows


@dataclass(frozen=True)
class Mesh:
    """Triangles [T, 3] over the vertices [first, last) of the compacted model."""

    first: int
    last: int
    triangles: np.ndarray


class HeadModel:
    """The compacted model: only drawn vertices, only the shapes and modes in use."""

    def __init__(self, path: str | Path):
        arrays = _read(Path(path))
        with damage_named(path):
            self._take(arrays)

    def _take(self, arrays: dict[str, np.ndarray]) -> None:
        neutral = arrays["neutral"].astype(np.float32)
        triangles = _drawn_triangles(arrays["triangles"], neutral)
        kept = np.unique(np.concatenate([triangles.ravel(), np.array(LANDMARKS_68)]))
        renumber = np.full(len(neutral), -1)
        renumber[kept] = np.arange(len(kept))
        self.original = kept
        self.neutral = neutral[kept]
        self.landmarks = renumber[list(LANDMARKS_68)]
        self.meshes = {name: _mesh(name, kept, renumber[triangles]) for name in PARTS}
        face, head = self.meshes["face"], self.meshes["head"]
        last = head.last if len(head.triangles) else face.last
        self.skin = Mesh(0, last, np.concatenate([face.triangles, head.triangles]))
        self.shapes = self._shapes(arrays, kept)
        self.identity = (
            arrays["identity"][:MODES, kept].astype(np.float32)
            * arrays["identity_scale"][:MODES, None, None]
        ).reshape(-1, len(kept) * 3)
        self.masculine = self._masculine_direction()
        # Adds up the triangles at each vertex of the skin.
        rows, count = self.skin.triangles.T.ravel(), len(self.skin.triangles)
        ones, columns = np.ones(3 * count, np.float32), np.tile(np.arange(count), 3)
        self._gather = sparse.csr_matrix((ones, (rows, columns)), shape=(last, count))

    def _shapes(self, arrays: dict, kept: np.ndarray) -> dict[str, np.ndarray]:
        wanted = {name for gains in AU_SHAPES.values() for name in gains} | set(GAZE_SHAPES)
        found = {}
        for index, name in enumerate(map(str, arrays["expression_names"])):
            if name.removesuffix("_L").removesuffix("_R") in wanted:
                scale = arrays["expression_scale"][index]
                found[name] = (arrays["expression"][index][kept].astype(np.float32) * scale).ravel()
        return found

    def _masculine_direction(self) -> np.ndarray:
        """Unit vector in mode space: wider jaw, longer chin, bigger nose, smaller eyes [MODES]."""
        offsets = self.identity.reshape(len(self.identity), -1, 3)[:, self.landmarks]
        jaw = offsets[:, 12, 0] - offsets[:, 4, 0]
        chin = offsets[:, 57, 1] - offsets[:, 8, 1]
        nose = offsets[:, 30, 2] - offsets[:, 27, 2] + offsets[:, 35, 0] - offsets[:, 31, 0]
        eyes = offsets[:, 37, 1] - offsets[:, 41, 1] + offsets[:, 44, 1] - offsets[:, 46, 1]
        brow = offsets[:, 37, 1] - offsets[:, 19, 1] + offsets[:, 19, 2] - offsets[:, 37, 2]
        lips = offsets[:, 51, 1] - offsets[:, 57, 1]
        direction = jaw + chin + 0.7 * nose - 2.0 * eyes + brow - 0.7 * lips
        return (direction / (np.linalg.norm(direction) + 1e-9)).astype(np.float32)

    def person(self, weights: np.ndarray, rest: dict[str, float] | None = None) -> np.ndarray:
        """Neutral vertices [V, 3] of standard normal identity weights [up to MODES].

        rest: expression shape, with its side -> weight, that the relaxed face keeps.
        """
        offset = self._moved(weights.astype(np.float32) @ self.identity[: len(weights)], rest or {})
        return self._close_lips(self.neutral + offset.reshape(-1, 3))

    def _close_lips(self, vertices: np.ndarray) -> np.ndarray:
        """Undo the gap that some identities have between their lips at rest."""
        for shape in ("mouthLowerDown", "jawOpen"):
            names = [n for n in (shape, shape + "_L", shape + "_R") if n in self.shapes]
            move = np.sum([self.shapes[n] for n in names], 0).reshape(-1, 3)
            opening = lip_gap(move[self.landmarks])
            excess = lip_gap(vertices[self.landmarks]) - LIP_GAP
            if opening > 1e-3 and excess > 0:
                share = 0.5 if shape == "mouthLowerDown" else 1.0
                vertices = vertices - np.float32(share * excess / opening) * move
        return vertices

    def express(
        self,
        person: np.ndarray,
        left: dict[int, float],
        right: dict[int, float],
        gaze: tuple[float, float] = (0.0, 0.0),
    ) -> np.ndarray:
        """Vertices [V, 3] of a person whose units (0..5) act on the subject's left and right.

        gaze: (to the subject's left, up), each -1..1 for about 30 degrees.
        """
        weights = {**shape_weights(left, right), **_gaze_weights(gaze)}
        return person + self._moved(np.zeros(person.size, np.float32), weights).reshape(-1, 3)

    def _moved(self, offset: np.ndarray, weights: dict[str, float]) -> np.ndarray:
        for name, weight in weights.items():
            if name in self.shapes:
                offset += self.shapes[name] * np.float32(weight)
        return offset

    def skin_normals(self, vertices: np.ndarray) -> np.ndarray:
        """Unit normals of the skin's vertices [skin.last, 3]."""
        a, b, c = vertices[self.skin.triangles.T]
        normals = self._gather @ np.cross(b - a, c - a)
        length = np.sqrt(np.einsum("ij,ij->i", normals, normals))[:, None]
        return normals / (length + 1e-9)


def lip_gap(landmarks: np.ndarray) -> float:
    """Greatest height between the inner lips, cm."""
    return float((landmarks[61:64, 1] - landmarks[67:64:-1, 1]).max())


def shape_weights(left: dict[int, float], right: dict[int, float]) -> dict[str, float]:
    """Shape name (with its side) -> weight, for units in 0..5 a side."""
    weights: dict[str, float] = {}
    for unit in sorted(set(left) | set(right)):
        if unit not in AU_SHAPES:
            raise ValueError(f"unit {unit} cannot be rendered; the renderer has {list(UNITS)}")
        sides = {"_L": left.get(unit, 0.0) / 5, "_R": right.get(unit, 0.0) / 5}
        sides[""] = (sides["_L"] + sides["_R"]) / 2
        for shape, gain in AU_SHAPES[unit].items():
            for side, value in sides.items():
                weights[shape + side] = weights.get(shape + side, 0.0) + gain * value
    return {name: value for name, value in weights.items() if value}


def coded(units: Mapping[str, float]) -> dict[str, float]:
    """Rendered units of one side, {"26": 3.0}, as a FACS coder scores their picture: 0..5.

    The jaw's shape parts the lips, which the coder then scores as 25 too: lips as far apart as AU26
    alone parts them are scored as high as that.
    """
    jaw = (JAW_DROP * units.get("26", 0.0) + JAW_STRETCH * units.get("27", 0.0)) / 5
    gap = sum(rate * units.get(str(unit), 0.0) for unit, rate in GAPS.items())
    parted = max(units.get("25", 0.0), gap / GAPS[26])
    stretched = 5 * max(0.0, (jaw - JAW_DROP) / (JAW_STRETCH - JAW_DROP))
    scores = {"25": parted, "26": 5 * jaw / JAW_DROP, "27": stretched}
    return {**units, **{code: min(5.0, score) for code, score in scores.items()}}


def _gaze_weights(gaze: tuple[float, float]) -> dict[str, float]:
    across, up = gaze
    vertical = "eyeLookUp" if up > 0 else "eyeLookDown"
    first, second = ("Out", "In") if across > 0 else ("In", "Out")
    return {
        vertical + "_L": abs(up),
        vertical + "_R": abs(up),
        f"eyeLook{first}_L": abs(across),
        f"eyeLook{second}_R": abs(across),
    }


def check_model(path: Path) -> None:
    """FileNotFoundError, with what to do, where there is no face model."""
    if not path.is_file():
        raise FileNotFoundError(
            f"the face model {path} does not exist: fetch it with "
            "`au-adapter download ict-facekit` and give the path of its npz file"
        )


def _read(path: Path) -> dict[str, np.ndarray]:
    check_model(path)
    wanted = ("neutral", "triangles", "expression_names", "expression", "expression_scale",
              "identity", "identity_scale")  # fmt: skip
    with damage_named(path, also=(TokenError,)), np.load(path) as file:
        if missing := [name for name in wanted if name not in file]:
            raise ValueError(f"{path} is not an ICT-FaceKit light model: it lacks {missing}")
        if large := [e.filename for e in file.zip.infolist() if e.file_size > LARGEST_ARRAY]:
            raise ValueError(f"{large[0]} has more than {LARGEST_ARRAY:,} bytes")
        arrays = {name: file[name] for name in wanted}
    if arrays["neutral"].shape != (VERTEX_COUNT, 3):
        raise ValueError(
            f"{path} has vertices {arrays['neutral'].shape}, expected {(VERTEX_COUNT, 3)}"
        )
    return arrays


def _drawn_triangles(triangles: np.ndarray, neutral: np.ndarray) -> np.ndarray:
    """Triangles without the clear outer eyes, which would hide irises, and what no pose shows."""
    hidden = np.zeros(VERTEX_COUNT, bool)
    unseen = ("outer_eye_left", "outer_eye_right", "tear_and_occlusion", "eye_sockets", "lashes")
    for name in unseen:
        hidden[PARTS[name][0] : PARTS[name][1] + 1] = True
    skin = np.arange(VERTEX_COUNT) <= PARTS["head"][1]
    hidden |= skin & ((neutral[:, 1] < -14) | (neutral[:, 2] < -7.5))
    for name in ("inner_eye_left", "inner_eye_right"):
        eye = slice(PARTS[name][0], PARTS[name][1] + 1)
        hidden[eye] |= neutral[eye, 2] < neutral[eye, 2].mean() - 0.2
    for name in ("teeth", "gums_tongue"):
        part = slice(PARTS[name][0], PARTS[name][1] + 1)
        hidden[part] |= neutral[part, 2] < 6.5
    return triangles[~hidden[triangles].any(1)]


def _mesh(name: str, kept: np.ndarray, triangles: np.ndarray) -> Mesh:
    first, last = np.searchsorted(kept, [PARTS[name][0], PARTS[name][1] + 1])
    # The seam between face and head has corners in both: it belongs to the later part.
    highest = triangles.max(1)
    return Mesh(int(first), int(last), triangles[(highest >= first) & (highest < last)])
