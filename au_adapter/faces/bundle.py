"""Opens Google's model files: a `.task` is a zip of TFLite files and a protocol buffer."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

from .executor import TFLiteNetwork
from .tflite import read_graph

DETECTOR = "face_detector.tflite"
MESH = "face_landmarks_detector.tflite"
BLENDSHAPES = "face_blendshapes.tflite"
GEOMETRY = "geometry_pipeline_metadata_landmarks.binarypb"
UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError)
LARGEST = 2**26  # bytes of a member; Google's have 2.6 million
MEMBERS = (DETECTOR, MESH, BLENDSHAPES, GEOMETRY)


def read_task(path: str | Path) -> dict[str, bytes]:
    """The files in a face landmarker's .task, by name; ValueError for any other file."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no face landmarker {path}")
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
            missing = [name for name in MEMBERS if not 0 < sizes.get(name, 0) <= LARGEST]
            if not missing:
                return {name: archive.read(name) for name in MEMBERS}
    except UNREADABLE as error:
        raise ValueError(
            f"{path} is not a .task file, or is incomplete ({path.stat().st_size} bytes): expected "
            "Google's face_landmarker.task. Download it again"
        ) from error
    raise ValueError(
        f"{path} is not a face landmarker with blendshapes: it lacks {', '.join(missing)}. "
        "Take Google's face_landmarker.task"
    )


def read_network(path: str | Path) -> TFLiteNetwork:
    """The network of a .tflite file; ValueError for any other file."""
    path = Path(path)
    if path.stat().st_size > LARGEST:
        raise ValueError(f"{path} is larger than any of Google's face networks")
    return TFLiteNetwork(read_graph(path.read_bytes(), str(path)))
