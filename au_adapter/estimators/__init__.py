"""Estimators of Action Units behind one small interface.

`mesh` is this project's own, `blendshapes` a table made by hand, `demo` the bundled model's
regressor; reading_tables.py reads what LibreFace, OpenFace and py-feat wrote.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from torch import Tensor

from ..bundled import demo_folder
from ..faces import FACE_LANDMARKER, FULL_RANGE_DETECTOR, FaceLandmarker, find, locate
from .blendshape_map import BlendshapeMap
from .bundled_regressor import BundledRegressor, load_regressor
from .estimator import Abilities, Estimator, abilities, read_set, relative_to
from .landmark import LandmarkEstimator
from .mesh_network import MeshMeasure
from .reading import Reading
from .reading_tables import read_table

__all__ = [
    "ESTIMATORS", "Abilities", "BlendshapeMap", "BundledRegressor", "Estimator",
    "LandmarkEstimator", "MeshMeasure", "abilities", "estimate", "open_estimator", "read_set",
    "read_table", "relative_to",
]  # fmt: skip

LOGGER = logging.getLogger("au_adapter")
MEASURES = {"mesh": MeshMeasure, "blendshapes": BlendshapeMap}
ESTIMATORS = (*MEASURES, "demo")


def open_estimator(
    name: str = "mesh",
    landmarker: str | Path | None = None,
    folders: Iterable[str | Path] = (),
    levels: int = 1,
) -> LandmarkEstimator | BundledRegressor:
    """The estimator of a name in ESTIMATORS, ready to read.

    landmarker: Google's face_landmarker.task, else it is looked for, see faces.locate; folders: to
    look in too. levels: see FaceLandmarker.detect. Where the full-range face detector lies beside
    the landmarker, in `folders`, or where its download put it, it looks at pictures in which the
    landmarker's own detector finds no face: faces of a tenth of the picture. Raises ValueError for
    another name, and FileNotFoundError saying how to get the landmarker.
    """
    if name == "demo":
        return BundledRegressor(load_regressor(demo_folder() / "regressor.safetensors"))
    if name not in MEASURES:
        raise ValueError(f"There is no estimator '{name}'; known are {', '.join(ESTIMATORS)}")
    folders = list(folders)
    path = locate(FACE_LANDMARKER, landmarker, folders)
    far = find(FULL_RANGE_DETECTOR, folders=[path.parent, *folders])
    if far:
        LOGGER.info("Pictures without a face are looked at again with %s, for small faces", far)
    return LandmarkEstimator(MEASURES[name](), FaceLandmarker(path, fallback=far), levels=levels)


def estimate(
    images: Tensor, neutral: Tensor | None = None, estimator: str | Estimator = "mesh"
) -> list[Reading]:
    """The Action Units of every face in images [N, H, W, 3], 0..1: by picture, the surest first.

    neutral [1, H, W, 3]: a photo of the one person in them, relaxed; AUs are then read as the
    change from it. estimator: one of ESTIMATORS, or any Estimator. A picture without a face, or
    with NaN or infinity, has no Reading. Raises ValueError for other shapes or a neutral photo
    that does not show one face, FileNotFoundError saying how to get a missing model file.
    """
    reader = open_estimator(estimator) if isinstance(estimator, str) else estimator
    return (reader if neutral is None else relative_to(reader, neutral)).estimate(images)
