"""Finds the model files of this package, or says how to get them.

In this order: the path given, an environment variable, the folders given (ComfyUI's
models/face_analysis), the cache that `au-adapter download` fills, and, unless AU_ADAPTER_CACHE
names another, what the set-up of a clone of this project (`make demo`) fetched.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..weights.downloads import cache_folder

MODEL_FOLDER = "face_analysis"  # under ComfyUI's models
SET_UP = Path(__file__).parents[2] / ".cache" / "models" / MODEL_FOLDER  # in a clone


@dataclass(frozen=True)
class ModelFile:
    """A model: its title, its possible file names, its environment variable and its download."""

    title: str
    names: tuple[str, ...]
    variable: str
    download: str


FACE_LANDMARKER = ModelFile(
    title="face landmarker",
    names=(
        "face_landmarker.task",
        "face_landmarker_v2.task",
        "face_landmarker_v2_with_blendshapes.task",
    ),
    variable="AU_ADAPTER_FACE_LANDMARKER",
    download="face-landmarker",
)
FULL_RANGE_DETECTOR = ModelFile(
    title="full-range face detector",
    names=("face_detection_full_range_sparse.tflite",),
    variable="AU_ADAPTER_FULL_RANGE_DETECTOR",
    download="full-range-face-detector",
)
PERSON_SEGMENTER = ModelFile(
    title="person segmenter",
    names=("selfie_segmenter.tflite",),
    variable="AU_ADAPTER_PERSON_SEGMENTER",
    download="person-segmenter",
)


def locate(
    model: ModelFile, path: str | Path | None = None, folders: Iterable[str | Path] = ()
) -> Path:
    """The file of a model. FileNotFoundError naming the folders searched and how to get it."""
    folders = list(folders)
    place = find(model, path, folders)
    if place is None:
        searched = ", ".join(map(str, _folders(model, folders)))
        raise FileNotFoundError(f"There is no {model.names[0]} in {searched}. {_advice(model)}")
    return place


def find(
    model: ModelFile, path: str | Path | None = None, folders: Iterable[str | Path] = ()
) -> Path | None:
    """The file of a model, or None. FileNotFoundError when the path given or the environment
    variable names a missing file."""
    named = {"The path given": path, model.variable: os.environ.get(model.variable)}
    for who, place in named.items():
        if place and Path(place).is_file():
            return Path(place)
        if place:
            raise FileNotFoundError(
                f"{who} is {place}, but there is no such file. {_advice(model)}"
            )
    places = (folder / name for folder in _folders(model, folders) for name in model.names)
    return next((place for place in places if place.is_file()), None)


def _folders(model: ModelFile, folders: Iterable[str | Path]) -> list[Path]:
    own_cache = os.environ.get("AU_ADAPTER_CACHE")  # which takes the place of all others
    ours = [cache_folder(model.download), *([] if own_cache else [SET_UP])]
    return [*map(Path, folders), *ours]


def _advice(model: ModelFile) -> str:
    return (
        f"Get the {model.title} by `au-adapter download {model.download}`, put {model.names[0]} "
        f"into ComfyUI's models/{MODEL_FOLDER}, or name the file in {model.variable}"
    )
