"""Faces in pictures: 478 points, 52 blendshape scores, head pose and a person mask.

Torch runs Google's published model files directly: MediaPipe is not installed, and nothing is sent
anywhere.
"""

from __future__ import annotations

from .face import Face, from_face_landmarks, to_face_landmarks
from .halves import half_masks
from .landmarker import FaceLandmarker
from .locate import FACE_LANDMARKER, FULL_RANGE_DETECTOR, PERSON_SEGMENTER, find, locate
from .parser import FaceParser
from .pose import head_angles
from .segmenter import PersonSegmenter

__all__ = [
    "FACE_LANDMARKER", "FULL_RANGE_DETECTOR", "PERSON_SEGMENTER", "Face", "FaceLandmarker",
    "FaceParser", "PersonSegmenter", "find", "from_face_landmarks", "half_masks", "head_angles",
    "locate", "to_face_landmarks",
]  # fmt: skip
