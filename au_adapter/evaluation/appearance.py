"""What a person looks like in numbers, where no face recognition network is at hand.

Colour and shape that no expression changes much: the mean colour of the face and of what else is
seen of the person (hair, neck, clothes), and steady points of the face seen from straight ahead.
The distance of two such rows is called `look`. It knows nobody, and of a photograph the light is a
part of the colour.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..faces import Face
from ..faces.alignment import STEADY_POINTS, align

MEASURE = "mean colours of face and person, and steady points of the face"
POINTS = (*STEADY_POINTS, 1, 4, 5, 98, 327, 54, 284, 67, 297, 93, 323)
SHAPE_WEIGHT = 0.06  # of a centimetre: most of what is the same in one person, least of the noise
WIDTH = 6 + 3 * len(POINTS)


def appearance_distance(first: Tensor, second: Tensor) -> Tensor:
    """How unlike two people look, >= 0, float32 [N], between rows [N, WIDTH] of `described`."""
    return (first - second).norm(dim=1)


def described(image: Tensor, face: Face, oval: Tensor, person: Tensor) -> Tensor:
    """The appearance [WIDTH] of a person in a picture [H, W, 3].

    oval, person: bool [H, W], where the face is and where the whole person.
    """
    rest = person & ~oval
    colours = [_mean(image, oval), _mean(image, rest if rest.any() else oval)]
    shape = align(face.points[None])[0][0, list(POINTS)]
    return torch.cat([*colours, SHAPE_WEIGHT * shape.flatten()])


def _mean(image: Tensor, where: Tensor) -> Tensor:
    """The mean colour [3] of a picture [H, W, 3] where a mask [H, W] is."""
    return image[where].float().mean(0)
