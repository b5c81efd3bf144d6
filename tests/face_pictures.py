"""Pictures with and without faces, the models that read them, and what mediapipe reads in them."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from au_adapter.data.rendered import SAMPLE, iterate
from au_adapter.faces import FaceLandmarker, PersonSegmenter
from tools import face_files

DATA = Path(__file__).parent / "data"
TASK = face_files.MODELS / "face_landmarker.task"
FULL_RANGE = face_files.MODELS / "face_detection_full_range_sparse.tflite"
SEGMENTER = face_files.MODELS / "selfie_segmenter.tflite"
# benchmarks/landmarker_reference.py made it; of a render, one point in POINT_STEP is kept.
REFERENCE = json.loads((DATA / "faces" / "reference.json").read_text(encoding="utf-8"))
POINT_STEP = 8
PHOTOS = [name for name in REFERENCE if not name[:-4].isdigit()]
RENDERS = [name for name in REFERENCE if name[:-4].isdigit()]


@functools.cache
def landmarker() -> FaceLandmarker:
    """The landmarker as published."""
    return FaceLandmarker(TASK)


@functools.cache
def far_landmarker() -> FaceLandmarker:
    """The landmarker with the full-range detector."""
    return FaceLandmarker(TASK, FULL_RANGE)


@functools.cache
def segmenter() -> PersonSegmenter:
    """The person segmenter."""
    return PersonSegmenter(SEGMENTER)


@functools.cache
def picture(name: str) -> Tensor:
    """A photo by its file name, or the render of that number: [1, H, W, 3] in 0..1."""
    pixels = _renders()[name] if name in RENDERS else _open(face_files.PHOTOS / name)
    return torch.tensor(pixels.astype(np.float32) / 255)[None]


@functools.cache
def _renders() -> dict[str, np.ndarray]:
    samples = enumerate(iterate(SAMPLE))
    return {f"{number}.png": sample["image"] for number, sample in samples}


def _open(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))
