"""Opens Google's model files: a `.task` is a zip of TFLite files and a protocol buffer."""

from __future__ import annotations

import zipfile
from pathlib import Path

from .executor import TFLiteNetwork
from .tflite import read_graph

DETECTOR = "face_detector.tflite"
MESH = "face_landmarks_detector.tflite"
BLENDSHAPES = "face_blendshapes.tflite"
GEOMETRY = "geometry_pipeline_metadata_landmarks.binarypb"
MEMBERS = (DETECTOR, MESH, BLENDSHAPES, GEOMETRY)


def read_task(path: str | Path) -> dict[str, bytes]:
    """The files in a face landmarker's .task, by name; ValueError for any other file."""
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            present = archive.namelist()
            missing = [name for name in MEMBERS if name not in present]
            if not missing:
                return {name: archive.read(name) for name in MEMBERS}
    except zipfile.BadZipFile as error:
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
    return TFLiteNetwork(read_graph(path.read_bytes(), str(path)))
