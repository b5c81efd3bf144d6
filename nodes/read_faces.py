"""Load Face Reader and AU Estimator: the Action Units of the faces in pictures, as numbers."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from au_adapter.estimators import (
    Estimator,
    LandmarkEstimator,
    MeshMeasure,
    abilities,
    open_estimator,
    relative_to,
)
from au_adapter.estimators.overlay import draw_readings
from au_adapter.estimators.reading import TURNED, Reading, ReadingSet, codes
from au_adapter.faces import FACE_LANDMARKER, Face, from_face_landmarks, to_face_landmarks
from au_adapter.faces.locate import MODEL_FOLDER
from au_adapter.facs import ALL_UNITS, SET_A, AUVector

from .au_vector import ALIASES
from .compat import ProgressBar, folder_paths, io, model_management, show_text
from .node import FOLDED, Node
from .sockets import AUReadingSocket, AUVectorSocket, FaceLandmarksSocket, FaceReaderSocket

LOGGER = logging.getLogger("au_adapter")
LANDMARKER, DEMO = FACE_LANDMARKER.names[0], "demo regressor"
TRAINED, TWELVE = "trained on renders", "12 (set A)"  # the widgets' defaults
METHODS = {TRAINED: "mesh", "blendshape table": "blendshapes"}
UNIT_SETS = {TWELVE: SET_A, "17 (sets A and B)": ALL_UNITS, "all that it reads": None}
NO_TRIANGLES = torch.empty(0, 3).long()
SHOWN_PICTURES, SHOWN_AUS = 6, 5  # lines on the node, and AUs in each
PRESENT = 0.5  # the intensity from which an AU is named
CHUNK = 8  # pictures between two checks for interruption


class LoadFaceReader(Node):
    """What AU Estimator reads faces with: Google's face landmarker from models/face_analysis, or
    the regressor of the bundled model.

    file: face_landmarker.task finds and reads faces in any picture. The demo regressor takes the
        whole picture for one of the bundled model's heads.
    method: How points become Action Units: a network trained on rendered heads (22 units, sides
        apart), or a table made by hand (12 units).
    levels: 1 finds faces down to a fifth of the picture's longer side; each level more halves that
        and takes about four times as long.
    """

    @classmethod
    def define_schema(cls) -> io.Schema:
        found = [n for n in folder_paths.get_filename_list(MODEL_FOLDER) if n.endswith(".task")]
        # The landmarker is among them even if it is missing: the node then says how to get it.
        files = [*dict.fromkeys([LANDMARKER, *found]), DEMO]
        return cls.schema(
            "Load Face Reader",
            family="models and training",
            aliases=["FACS", "action units", "face detector", "landmarks", "mediapipe"],
            inputs=[
                io.Combo.Input("file", options=files, default=LANDMARKER),
                io.Combo.Input("method", options=list(METHODS), default=TRAINED, **FOLDED),
                io.Int.Input("levels", default=1, min=1, max=5, **FOLDED),
            ],
            outputs=[FaceReaderSocket.Output()],
        )

    @classmethod
    def execute(cls, file: str, method: str = TRAINED, levels: int = 1) -> io.NodeOutput:
        return io.NodeOutput(_open(file, METHODS[method], levels))


def _open(file: str, name: str = "mesh", levels: int = 1) -> Estimator:
    """An estimator on the landmarker's file, or the bundled one, on core's device."""
    device = model_management.get_torch_device()
    if file == DEMO:
        return open_estimator("demo").to(device)
    folders = folder_paths.get_folder_paths(MODEL_FOLDER)
    # A file that is only in the download cache has no full path here, and is found there.
    path = folder_paths.get_full_path(MODEL_FOLDER, file)
    return open_estimator(name, path, folders, levels).to(device)


class AUEstimator(Node):
    """Reads the Action Units of the faces in pictures: 0 absent .. 5 maximum, left and right of the
    person apart.

    image: One picture or a batch.
    face_reader: From Load Face Reader. Without it: face_landmarker.task and the network trained on
        rendered heads.
    neutral: A photo of the same person, relaxed: brows that are always high, or corners of the
        mouth that always hang, are then not taken for an expression.
    face_landmarks: Faces found before, by this node or by Detect Face Landmarks (MediaPipe), in the
        same pictures: they are not looked for again.
    units: Which Action Units AU_VECTOR holds. An AU-Adapter takes only those that it was trained
        on. AU_READING always holds all.
    face: Which face of each picture AU_VECTOR holds, 0 being the surest.
    AU_VECTOR: One face for each picture; relaxed where none is.
    AU_READING: Every face of every picture, for AU Evaluator.
    IMAGE: The pictures with faces and AUs drawn in.
    """

    @classmethod
    def define_schema(cls) -> io.Schema:
        return cls.schema(
            "AU Estimator",
            family="read and measure",
            aliases=[*ALIASES, "read expression", "recognise emotion", "LibreFace", "OpenFace"],
            inputs=[
                io.Image.Input("image"),
                FaceReaderSocket.Input("face_reader", optional=True),
                io.Image.Input("neutral", optional=True),
                FaceLandmarksSocket.Input("face_landmarks", optional=True),
                io.Combo.Input("units", options=list(UNIT_SETS), default=TWELVE, optional=True),
                io.Int.Input("face", default=0, min=0, max=100, optional=True),
            ],
            outputs=[
                AUVectorSocket.Output(),
                AUReadingSocket.Output(),
                FaceLandmarksSocket.Output(),
                io.Image.Output(),
            ],
            shows_text=True,
        )

    @classmethod
    def execute(
        cls,
        image: Tensor,
        face_reader: Estimator | None = None,
        neutral: Tensor | None = None,
        face_landmarks: dict[str, Any] | None = None,
        units: str = TWELVE,
        face: int = 0,
    ) -> io.NodeOutput:
        if face_reader is not None:
            reader = face_reader
        elif face_landmarks is not None and neutral is None:  # needs no file
            reader = LandmarkEstimator(MeshMeasure(), None)
        else:
            reader = _open(LANDMARKER)
        if neutral is not None:
            reader = relative_to(reader, neutral)
        can = abilities(reader)
        readings, frames = _read(reader, image, face_landmarks)
        seen = ReadingSet(reader.name, len(image), tuple(readings))
        summary = _summary(seen, face)
        if face_landmarks is None:
            triangles = reader.landmarker.geometry.triangles if can.landmarks else NO_TRIANGLES
            face_landmarks = to_face_landmarks(frames, tuple(image.shape[1:3]), triangles)
        elif not can.landmarks:
            unused = (
                f"FACE_LANDMARKS are not used, {reader.name} reads whole pictures: "
                "disconnect one of both"
            )
            LOGGER.warning("AU Estimator: %s", unused)
            summary += f"; {unused}"
        summary += _leading(seen, face)
        shown = show_text(cls, summary)
        return io.NodeOutput(
            _vector(seen, UNIT_SETS[units] or reader.units, face),
            seen,
            face_landmarks,
            draw_readings(image, seen, frames, can.weak),
            # Beside the text in the history the readings, which the AU panel draws.
            ui={**shown.as_dict(), "au_readings": (seen.to_dict(),)},
        )


def _read(
    reader: Estimator, images: Tensor, landmarks: dict[str, Any] | None
) -> tuple[list[Reading], list[list[Face]]]:
    """Readings, and the faces by picture; no faces where the reader has no landmarks."""
    if not abilities(reader).landmarks:
        readings = [
            replace(reading, image=start + reading.image)
            for start, part in _parts(images)
            for reading in reader.estimate(part)
        ]
        return readings, [[] for _ in images]
    if landmarks is None:
        frames = [faces for _, part in _parts(images) for faces in reader.detect(part)]
    else:
        frames = from_face_landmarks(landmarks, images)
    return reader.read(frames), frames


def _parts(images: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Parts of the pictures, each with the index of its first, with progress and interruption."""
    progress = ProgressBar(len(images))
    for start in range(0, len(images), CHUNK):
        model_management.throw_exception_if_processing_interrupted()
        part = images[start : start + CHUNK]
        yield start, part
        progress.update(len(part))


def _vector(seen: ReadingSet, units: tuple[int, ...], face: int) -> AUVector:
    """One face of each picture, neutral where there is none."""
    rows = []
    for picture in range(seen.pictures):
        readings = seen.of(picture)
        aus = readings[face].aus if face < len(readings) else AUVector.zeros(units)
        rows.append(aus.select(units, strict=False))
    return AUVector.stack(rows) if rows else AUVector.zeros(units, 0)


def _leading(seen: ReadingSet, face: int) -> str:
    """The strongest AUs of the first pictures, a line each: "1: AU12 3.2, LAU2 2.1"."""
    lines = []
    for picture in range(min(seen.pictures, SHOWN_PICTURES)):
        readings = seen.of(picture)
        if face < len(readings):
            aus = sorted(codes(readings[face].aus).items(), key=lambda entry: -entry[1])
            strong = [
                f"{code.rstrip('0123456789')}AU{code.lstrip('LR')} {value:.1f}"
                for code, value in aus[:SHOWN_AUS]
                if value >= PRESENT
            ]
            lines.append(f"\n{picture + 1}: {', '.join(strong) or 'at rest'}")
    return "".join(lines)


def _summary(seen: ReadingSet, face: int) -> str:
    """How many faces were read, which pictures have none, and which readings are guesses."""
    without = [n + 1 for n in range(seen.pictures) if len(seen.of(n)) <= face]
    text = f"{seen.estimator}: {len(seen.readings)} faces in {seen.pictures} pictures"
    if without:
        which = "no face" if face == 0 else f"no face {face}"
        text += f"; {which} in {len(without)} ({_numbers(without)}): relaxed in AU_VECTOR"
        LOGGER.warning("AU Estimator: %s", text)
    if turned := [reading.image + 1 for reading in seen.readings if reading.turned]:
        text += (
            f"; {len(turned)} turned further than {TURNED:g} degrees ({_numbers(turned)}): guesses"
        )
    return text


def _numbers(pictures: list[int]) -> str:
    return f"number {', '.join(map(str, pictures[:10]))}{', ...' if len(pictures) > 10 else ''}"
