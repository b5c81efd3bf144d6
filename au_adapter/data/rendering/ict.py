"""Packs the face model that ICT-FaceKit publishes, a folder of OBJ files, into the one npz we read.

The shapes become offsets from the neutral face, quantised to 16 bits for expressions and 8 bits
for identity modes, which stays under 0.001 cm and 0.01 cm from the published vertices.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ...disk import damage_named, replacing

LOGGER = logging.getLogger("au_adapter")
NEUTRAL = "generic_neutral_mesh"
IDENTITY = "identity"  # identity000.obj, identity001.obj, ...


@dataclass(frozen=True)
class Obj:
    """An OBJ file: vertices float32 [V, 3], texture coordinates float32 [W, 2], and for every
    triangle the indices of both, int32 [T, 3]."""

    vertices: np.ndarray
    uv: np.ndarray
    triangles: np.ndarray
    uv_triangles: np.ndarray


def convert_folder(source: str | Path, output_npz: str | Path) -> Path:
    """Pack ICT-FaceKit's OBJ files, in `source` or its FaceXModel, into one npz; its path.

    Arrays: neutral float32 [V, 3] in centimetres; triangles int32 [T, 3] (faces split); uv float32
    [W, 2] and uv_triangles int32 [T, 3]; expression_names [E], expression int16 [E, V, 3] and
    expression_scale float32 [E]; identity int8 [M, V, 3] and identity_scale float32 [M]. A shape's
    offset is the integers times the scale. The file appears only when it is complete.
    FileNotFoundError without the OBJ files, ValueError where one does not fit the neutral face.
    """
    folder = Path(source)
    if not (folder / f"{NEUTRAL}.obj").is_file():
        folder /= "FaceXModel"
    if not (folder / f"{NEUTRAL}.obj").is_file():
        raise FileNotFoundError(
            f"There is no {NEUTRAL}.obj in {source}: expected the FaceXModel folder of ICT-FaceKit"
        )
    neutral = read_obj(folder / f"{NEUTRAL}.obj")
    paths = sorted(path for path in folder.glob("*.obj") if path.stem != NEUTRAL)
    modes = [path for path in paths if path.stem.startswith(IDENTITY)]
    shapes = [path for path in paths if path not in modes]
    if not modes or not shapes:
        raise FileNotFoundError(
            f"{folder} holds {len(shapes)} expressions and {len(modes)} identity modes; "
            "both are needed: is the copy of FaceXModel complete?"
        )
    expression, expression_scale = _quantised(shapes, neutral.vertices, np.int16)
    identity, identity_scale = _quantised(modes, neutral.vertices, np.int8)
    output = Path(output_npz)
    output.parent.mkdir(parents=True, exist_ok=True)
    with replacing(output) as partial, partial.open("wb") as file:
        np.savez_compressed(
            file,
            neutral=neutral.vertices,
            triangles=neutral.triangles,
            uv=neutral.uv,
            uv_triangles=neutral.uv_triangles,
            expression_names=np.array([path.stem for path in shapes]),
            expression=expression,
            expression_scale=expression_scale,
            identity=identity,
            identity_scale=identity_scale,
        )
    LOGGER.info("Packed %d shapes into %s", len(shapes), output)
    return output


def read_obj(path: str | Path) -> Obj:
    """Read an OBJ file of polygons with texture coordinates. ValueError for anything else."""
    with damage_named(path):
        lines: dict[str, list[list[str]]] = {"v": [], "vt": [], "f": []}
        for line in Path(path).read_text().splitlines():
            key, *fields = line.split() or [""]
            if key in lines:
                lines[key].append(fields)
        corners = [[corner.split("/") for corner in face] for face in lines["f"]]
        if not lines["v"] or any(len(corner) < 2 or not corner[1] for f in corners for corner in f):
            raise ValueError(f"{path} is not a mesh with texture coordinates in OBJ format")
        return Obj(
            vertices=_floats(lines["v"], 3),
            uv=_floats(lines["vt"], 2),
            triangles=_fans([[corner[0] for corner in face] for face in corners]),
            uv_triangles=_fans([[corner[1] for corner in face] for face in corners]),
        )


def _floats(rows: Sequence[Sequence[str]], width: int) -> np.ndarray:
    return np.array([row[:width] for row in rows], dtype=np.float32).reshape(-1, width)


def _fans(faces: Sequence[Sequence[str]]) -> np.ndarray:
    """Split polygons into triangles from their first corner; OBJ counts from 1."""
    fans = [
        (face[0], face[corner], face[corner + 1])
        for face in faces
        for corner in range(1, len(face) - 1)
    ]
    return np.array(fans, dtype=np.int32).reshape(-1, 3) - 1


def _quantised(
    paths: Sequence[Path], neutral: np.ndarray, kind: type[np.signedinteger]
) -> tuple[np.ndarray, np.ndarray]:
    """Offsets of the meshes from the neutral one as integers [S, V, 3] and scales [S]."""
    largest = np.iinfo(kind).max
    integers = np.empty((len(paths), *neutral.shape), kind)
    scales = np.empty(len(paths), np.float32)
    for index, path in enumerate(tqdm(paths, unit="mesh", desc=np.dtype(kind).name)):
        with damage_named(path):
            lines = (line for line in path.read_text().splitlines() if line.startswith("v "))
            vertices = _floats([line.split()[1:] for line in lines], 3)
        if vertices.shape != neutral.shape:
            raise ValueError(
                f"{path.name} has {len(vertices)} vertices and {NEUTRAL}.obj {len(neutral)}: "
                "they come from different models, or the file is cut off"
            )
        offset = vertices - neutral
        # A shape that moves nothing has any scale; 1 keeps it finite.
        scales[index] = np.abs(offset).max() / largest or 1.0
        integers[index] = np.rint(offset / scales[index])
    return integers, scales
