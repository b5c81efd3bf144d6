"""The face landmarker: detector, mesh, blendshapes and pose, from Google's .task file, a zip of
TFLite files and a protocol buffer."""

from __future__ import annotations

import zipfile
import zlib
from itertools import product
from pathlib import Path

import torch
from torch import Tensor, nn

from .blendshapes import BLENDSHAPE_NAMES, Blendshapes
from .crop import to_picture
from .detector import FaceDetector
from .executor import LARGEST, TFLiteNetwork, read_network
from .face import Face
from .mesh import FaceMesh, face_boxes
from .picture_checks import BATCH, finite_pictures
from .pose import head_pose, read_geometry
from .search import distinct, search
from .tflite import read_graph

DETECTOR = "face_detector.tflite"
MESH = "face_landmarks_detector.tflite"
BLENDSHAPES = "face_blendshapes.tflite"
GEOMETRY = "geometry_pipeline_metadata_landmarks.binarypb"
UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError)
SAME_FACE = 0.4  # overlap of the boxes around the points


class FaceLandmarker(nn.Module):
    """Reads the faces of pictures, as MediaPipe's FaceLandmarker does for single pictures.

    Unlike there, a face that two boxes of the detector lead to is returned once. `.to(device)`
    moves the networks; pictures may stay where they are.
    """

    def __init__(
        self,
        path: str | Path,
        full_range: str | Path | None = None,
        fallback: str | Path | None = None,
    ):
        """Open face_landmarker.task; locate.py finds it.

        full_range: face_detection_full_range_sparse.tflite, which also finds faces smaller than
        about a fifth of the picture; it replaces the detector in the .task. fallback: the same
        file, used only for pictures in which the other detector found no face. ValueError when a
        file is damaged or another one.
        """
        super().__init__()
        parts = read_task(path)

        def network(name: str) -> TFLiteNetwork:
            return TFLiteNetwork(read_graph(parts[name], f"{name} in {path}"))

        near = network(DETECTOR)
        self.detector = FaceDetector(read_network(full_range) if full_range else near)
        self.fallback = FaceDetector(read_network(fallback)) if fallback else None
        self.mesh = FaceMesh(network(MESH))
        self.blendshapes = Blendshapes(network(BLENDSHAPES))
        self.geometry = read_geometry(parts[GEOMETRY], f"{GEOMETRY} in {path}")

    @torch.no_grad()
    def detect(
        self,
        images: Tensor,
        maximum_faces: int | None = None,
        minimum_confidence: float = 0.5,
        minimum_presence: float = 0.5,
        levels: int = 1,
    ) -> list[list[Face]]:
        """The faces of each picture, most confident first; an empty list where there are none.

        images: [N, H, W, 3], 0..1, on any device. maximum_faces: per picture, of those that the
        mesh confirms; None for all. minimum_confidence, minimum_presence: 0..1, of the detector and
        of the mesh. levels: 1 searches the whole picture as MediaPipe does and finds faces down to
        about a fifth of its longer side; each further level halves that and takes four times as
        long. A picture with NaN or infinity has no faces; the log names it.
        """
        images, groups = finite_pictures(images)
        found: list[list[Face]] = [[] for _ in images]
        for detector, group in product(filter(None, (self.detector, self.fallback)), groups):
            if pictures := [picture for picture in group if not found[picture]]:
                faces = search(detector, images, pictures, minimum_confidence, levels)
                candidates = [
                    (picture, box, score)
                    for picture, here in zip(pictures, faces, strict=True)
                    for box, score in zip(face_boxes(here), here.scores.tolist(), strict=True)
                ]
                for start in range(0, len(candidates), BATCH):
                    batch = candidates[start : start + BATCH]
                    self._read(images, batch, minimum_presence, found)
        return [_without_doubles(faces)[:maximum_faces] for faces in found]

    def _read(
        self,
        images: Tensor,
        candidates: list[tuple[int, Tensor, float]],
        minimum_presence: float,
        found: list[list[Face]],
    ) -> None:
        """candidates: of each detected face the picture, the rotated box [5] and the score."""
        pictures, boxes, detected = zip(*candidates, strict=True)
        boxes = torch.stack(boxes)
        crop_points, presence = self.mesh(images, list(pictures), boxes)
        points = to_picture(crop_points, boxes)
        scores = self.blendshapes(points)
        poses = head_pose(points, images.shape[1:3], self.geometry)
        for i, picture in enumerate(pictures):
            if presence[i] > minimum_presence:
                face = Face(
                    points=points[i],
                    crop_points=crop_points[i],
                    score=detected[i],
                    presence=float(presence[i]),
                    blendshapes=dict(zip(BLENDSHAPE_NAMES, scores[i].tolist(), strict=True)),
                    pose=poses[i],
                )
                found[picture].append(face)


def read_task(path: str | Path) -> dict[str, bytes]:
    """The files in a face landmarker's .task, by name; ValueError for any other file."""
    path, members = Path(path), (DETECTOR, MESH, BLENDSHAPES, GEOMETRY)
    if not path.is_file():
        raise FileNotFoundError(f"there is no face landmarker {path}")
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
            missing = [name for name in members if not 0 < sizes.get(name, 0) <= LARGEST]
            if not missing:
                return {name: archive.read(name) for name in members}
    except UNREADABLE as error:
        raise ValueError(
            f"{path} is not a .task file, or is incomplete ({path.stat().st_size} bytes): expected "
            "Google's face_landmarker.task. Download it again"
        ) from error
    raise ValueError(
        f"{path} is not a face landmarker with blendshapes: it lacks {', '.join(missing)}. "
        "Take Google's face_landmarker.task"
    )


def _without_doubles(faces: list[Face]) -> list[Face]:
    """Two boxes of the detector may lead the mesh to one face: the most confident stays."""
    if len(faces) < 2:
        return faces
    boxes = torch.stack([face.box for face in faces])
    return [faces[index] for index in distinct(boxes, SAME_FACE)]
