"""Estimators that look at a face through the landmarker's points and scores."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from ..faces import Face, FaceLandmarker
from ..faces.alignment import align
from ..faces.blendshapes import BLENDSHAPE_NAMES
from ..faces.pose import head_angles
from ..facs import AUVector
from .estimator import Abilities
from .reading import TURNED, Reading

LOGGER = logging.getLogger("au_adapter")
Seen = tuple[Tensor, Tensor]  # aligned points [F, 478, 3] and blendshapes [F, 52]


class Measure(Protocol):
    """How points and scores become AUs. `resting` is one face, seen the same way, or nothing."""

    name: str
    units: tuple[int, ...]

    def __call__(self, points: Tensor, blendshapes: Tensor, resting: Seen | None) -> AUVector:
        """A vector of F faces with sides, intensities 0..5."""


class LandmarkEstimator:
    """An Estimator of a measure and a landmarker.

    landmarker: may be missing where only `read` is used, on faces that were found before.
    resting: the person's relaxed face; AUs are then read as the change from it. levels: how far
    the landmarker searches for small faces, see FaceLandmarker.detect.
    """

    def __init__(
        self,
        measure: Measure,
        landmarker: FaceLandmarker | None,
        resting: Face | None = None,
        levels: int = 1,
    ):
        self.measure, self.landmarker = measure, landmarker
        self.resting, self.levels = resting, levels
        self.name = measure.name + (", relative to a neutral photo" if resting else "")
        self.units = measure.units
        weak = tuple(getattr(measure, "weak", ()))
        self.abilities = Abilities(True, True, True, landmarks=True, device=True, weak=weak)

    def to(self, device: torch.device | str) -> LandmarkEstimator:
        if self.landmarker is not None:
            self.landmarker.to(device)
        return self

    def relative_to(self, neutral: Tensor) -> LandmarkEstimator:
        """The same estimator for one person, whose relaxed face is in the picture neutral
        [1, H, W, 3]. ValueError where that shows no face, or several."""
        if len(neutral) != 1:
            raise ValueError(f"The neutral photo must be one picture, found {len(neutral)}")
        faces = self.detect(neutral)[0]
        if len(faces) != 1:
            raise ValueError(
                f"The neutral photo must show one face, found {len(faces) or 'none'}: give a photo "
                "of that person alone, relaxed and looking at the camera"
            )
        return LandmarkEstimator(self.measure, self.landmarker, faces[0], self.levels)

    def estimate(self, images: Tensor) -> list[Reading]:
        return self.read(self.detect(images))

    def detect(self, images: Tensor) -> list[list[Face]]:
        """The faces of each picture as `read` takes them, and as FACE_LANDMARKS are made of."""
        if self.landmarker is None:
            raise ValueError("Faces cannot be looked for without Google's face_landmarker.task")
        return self.landmarker.detect(images, levels=self.levels)

    def read(self, frames: Sequence[Sequence[Face]]) -> list[Reading]:
        """Readings of faces that are found already, by picture."""
        places = [(i, j) for i, faces in enumerate(frames) for j in range(len(faces))]
        faces = [frames[i][j] for i, j in places]
        if not faces:
            return []
        aus = self.measure(*seen(faces), seen([self.resting]) if self.resting else None)
        for i, found in enumerate(frames):
            if self.resting and len(found) > 1:
                LOGGER.warning(
                    f"Picture {i + 1} shows {len(found)} faces, and all are compared with the one "
                    "neutral photo: only that person's AUs mean something"
                )
        readings = []
        for row, ((i, j), face) in enumerate(zip(places, faces, strict=True)):
            yaw, pitch = head_angles(face.pose)[:2].abs().tolist()
            turn, box = max(yaw, pitch), tuple(face.box.tolist())
            # How sure it is that this is a face: the detector's and the mesh's word, the lower.
            sure = min(face.score, face.presence)
            readings.append(Reading(i, j, box, sure, aus.face(row), turn))
            if turn > TURNED:
                LOGGER.warning(
                    f"Face {j + 1} of picture {i + 1} is turned away ({yaw:.0f} degrees sideways, "
                    f"{pitch:.0f} up or down): its AUs are a guess beyond {TURNED:.0f}"
                )
        return readings


def seen(faces: Sequence[Face]) -> Seen:
    """Aligned points [F, 478, 3] in centimetres, and their blendshapes [F, 52]."""
    scores = [[face.blendshapes[name] for name in BLENDSHAPE_NAMES] for face in faces]
    return align(torch.stack([face.points for face in faces]))[0], torch.tensor(scores)
