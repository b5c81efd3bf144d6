"""Photos of people as rendered faces are: the face cut out, with its person's mask and jaw line.

What MagicFace trains on. A face that was cut out is three files in a shard, KEY.jpg, KEY.mask.png
and KEY.json, whose label says besides what every label does:

    subject   the person: the label's own, else the name of the picture's folder
    identity  a number of that person
    frame     the picture's place in a video: the label's own, else the last number in its name
    jaw       17 points in pixels, see faces.jaw_background; boxes: of eyes, brows and mouth
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..faces import FACE_LANDMARKER, PERSON_SEGMENTER, FaceLandmarker, PersonSegmenter, locate
from ..faces.choose import choose_face
from ..faces.face import Face
from ..faces.jaw_background import jaw_line
from ..faces.squares import cut_square, square_around, to_square
from ..faces.topology import LINES
from .face_source import LabelledFace
from .pictures import as_picture, file_of

SIDE = 512  # pixels of a face that was cut out, Stable Diffusion 1.5's
JPEG_QUALITY = 95
PARTS = {
    "left_eye": ("left_eye",),
    "right_eye": ("right_eye",),
    "brows": ("left_eyebrow", "right_eyebrow"),
    "mouth": ("lips",),
}  # as of rendered faces, from the lines of the mesh


@dataclass(frozen=True)
class FaceCutter:
    """Cuts out the largest face of a picture; also the step that leaves out pictures without one.

    size: pixels of a side of what is cut out.
    """

    landmarker: FaceLandmarker
    segmenter: PersonSegmenter
    size: int = SIDE
    name = "no face to cut out"

    def keeps(self, faces: Sequence[LabelledFace]) -> list[bool]:
        return [self._find(_pixels(face)) is not None for face in faces]

    def cut(self, face: LabelledFace) -> tuple[bytes, bytes, dict[str, Any]]:
        """JPEG of the face, PNG of its person's mask, and what the label says of it."""
        picture = _pixels(face)
        found, square = self._find(picture)
        cut = cut_square(picture, square, self.size)
        mask = self.segmenter.mask(cut[None])[0]
        picture = file_of(as_picture(cut), "JPEG", quality=JPEG_QUALITY)
        about = {**place_of(face), **self._points(found, square)}
        return picture, file_of(as_picture(mask), "PNG"), about

    def _find(self, picture: Tensor) -> tuple[Face, Tensor] | None:
        """The largest face and the square around it, if enough of it lies in the picture."""
        (faces,) = self.landmarker.detect(picture[None])
        try:
            found = choose_face(faces, 0)
            return found, square_around(found.box, *picture.shape[:2])
        except ValueError:
            return None

    def _points(self, face: Face, square: Tensor) -> dict[str, Any]:
        points = to_square(face.points[:, :2], square, self.size)
        boxes = {}
        for part, lines in PARTS.items():
            rows = [index for line in lines for path in LINES[line] for index in path]
            corners = points[rows].amin(0), points[rows].amax(0)
            boxes[part] = _rounded(torch.cat(corners))
        jaw = _rounded(to_square(jaw_line(face), square, self.size))
        return {"jaw": jaw, "boxes": boxes, "landmarks": []}


def open_cutter(size: int = SIDE) -> FaceCutter:
    """A cutter by Google's model files. FileNotFoundError saying how to get one that is missing."""
    landmarker = FaceLandmarker(locate(FACE_LANDMARKER))
    return FaceCutter(landmarker, PersonSegmenter(locate(PERSON_SEGMENTER)), size)


def place_of(face: LabelledFace) -> dict[str, Any]:
    """Who a picture shows and when: "subject", "identity" and, where a number says it, "frame"."""
    subject = str(face.about.get("subject", face.file.parent.name))
    digest = hashlib.sha256(subject.encode()).digest()
    numbers = re.findall(r"\d+", face.file.stem)
    frame = face.about.get("frame", numbers[-1] if numbers else None)
    found = {"subject": subject, "identity": int.from_bytes(digest[:6], "big")}
    try:
        return found if frame is None else {**found, "frame": int(float(frame))}
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"{face.file} has the frame {frame!r}, expected a number") from error


def _pixels(face: LabelledFace) -> Tensor:
    """The picture [H, W, 3] in 0..1."""
    return torch.from_numpy(np.asarray(face.picture, np.float32) / 255)


def _rounded(points: Tensor) -> list:
    return np.round(points.numpy().astype(float), 2).tolist()
