"""What a person looks like in numbers, where no face recognition network is at hand.

Colour and shape that no expression changes much: the mean colour of the face and of what else is
seen of the person (hair, neck, clothes), and steady points of the face seen from straight ahead.
On the sample of renders, two pictures of one person lie 0.15 apart on average and of two people
0.43, and of two such pairs the distance tells which is which in 93 %. It knows nobody, and of a
photograph the light is a part of the colour.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..faces import Face, FaceLandmarker, PersonSegmenter
from ..faces.alignment import STEADY_POINTS, align
from ..faces.jaw_background import fill
from ..faces.topology import FACE_OVAL

MEASURE = "mean colours of face and person, and steady points of the face"
POINTS = (*STEADY_POINTS, 1, 4, 5, 98, 327, 54, 284, 67, 297, 93, 323)
SHAPE_WEIGHT = 0.06  # of a centimetre: most of what is the same in one person, least of the noise
PERSON = 0.5  # where the segmenter is this sure
WIDTH = 6 + 3 * len(POINTS)


class Appearance:
    """Pictures [N, H, W, 3] in 0..1 -> [N, WIDTH], NaN where no face was found; the distance of two
    rows says how unlike two people look."""

    def __init__(self, landmarker: FaceLandmarker, segmenter: PersonSegmenter):
        self.landmarker, self.segmenter = landmarker, segmenter

    def __call__(self, images: Tensor) -> Tensor:
        return self.of_faces(images, self.landmarker.detect(images, maximum_faces=1))

    def of_faces(self, images: Tensor, frames: list[list[Face]]) -> Tensor:
        """The same of pictures whose faces were found already, the first of each frame."""
        people = self.segmenter.mask(images) > PERSON
        rows = [
            _described(image, faces[0], person) if faces else torch.full((WIDTH,), torch.nan)
            for image, faces, person in zip(images, frames, people, strict=True)
        ]
        return torch.stack(rows)


def _described(image: Tensor, face: Face, person: Tensor) -> Tensor:
    height, width = person.shape
    outline = face.points[list(FACE_OVAL), :2]
    oval = fill(outline, max(height, width))[:height, :width]
    rest = person & ~oval
    colours = [_mean(image, oval), _mean(image, rest if rest.any() else oval)]
    shape = align(face.points[None])[0][0, list(POINTS)]
    return torch.cat([*colours, SHAPE_WEIGHT * shape.flatten()])


def _mean(image: Tensor, where: Tensor) -> Tensor:
    """The mean colour [3] of a picture [H, W, 3] where a mask [H, W] is."""
    return image[where].float().mean(0)
