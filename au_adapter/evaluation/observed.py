"""A batch of pictures as Google's face networks see it; each network looks once.

`appearance_distance`, called `look` in reports, is what a person looks like in numbers where no
face recognition network is at hand: the mean colour of the face and of what else is seen of the
person (hair, neck, clothes), and steady points of the face seen from straight ahead. No expression
changes these much. It knows nobody, and the light of a photograph is a part of the colour.
"""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from ..faces import Face, FaceLandmarker, PersonSegmenter, head_angles
from ..faces.alignment import STEADY_POINTS, align
from ..faces.jaw_background import PERSON, fill
from ..faces.topology import FACE_OVAL

MEASURE = "mean colours of face and person, and steady points of the face"
POINTS = (*STEADY_POINTS, 1, 4, 5, 98, 327, 54, 284, 67, 297, 93, 323)
SHAPE_WEIGHT = 0.06  # of a centimetre: most of what is the same in one person, least of the noise
WIDTH = 6 + 3 * len(POINTS)


class Observed:
    """What `comparison` asks of pictures [N, H, W, 3] in 0..1, computed when it is first asked. The
    first face counts; without one, everything that needs a face is NaN."""

    def __init__(
        self, images: Tensor, landmarker: FaceLandmarker | None, segmenter: PersonSegmenter | None
    ):
        self.images, self._landmarker, self._segmenter = images, landmarker, segmenter

    @property
    def pixels(self) -> Tensor:
        return self.images.cpu()

    @cached_property
    def faces(self) -> list[Face | None]:
        frames = self._landmarker.detect(self.images, maximum_faces=1)
        return [frame[0] if frame else None for frame in frames]

    @cached_property
    def people(self) -> Tensor:
        """1 where a person is, hair and clothes included, float [N, H, W].

        The threshold of Prepare MagicFace's masks, which are nearest to the released ones.
        """
        return (self._segmenter.mask(self.images).cpu() > PERSON).float()

    @cached_property
    def ovals(self) -> Tensor:
        """1 inside the outline of the face, float [N, H, W]."""
        height, width = self.images.shape[1:3]
        found = torch.full((len(self.images), height, width), torch.nan)
        for mask, face in zip(found, self.faces, strict=True):
            if face:
                outline = face.points[list(FACE_OVAL), :2]
                mask.copy_(fill(outline, max(height, width))[:height, :width])
        return found

    @cached_property
    def angles(self) -> Tensor:
        """The head's yaw, pitch and roll in radians, [N, 3]."""
        nothing = torch.full((3,), torch.nan)
        return torch.stack([head_angles(f.pose).deg2rad() if f else nothing for f in self.faces])

    @cached_property
    def appearance(self) -> Tensor:
        """Colours and shape of each person, [N, WIDTH]: see `appearance_distance`."""
        found = torch.full((len(self.images), WIDTH), torch.nan)
        seen = zip(self.pixels, self.faces, self.ovals > 0, self.people > 0, strict=True)
        for row, (image, face, oval, person) in zip(found, seen, strict=True):
            if face:
                rest = person & ~oval
                colours = [image[m].float().mean(0) for m in (oval, rest if rest.any() else oval)]
                shape = align(face.points[None])[0][0, list(POINTS)]
                row.copy_(torch.cat([*colours, SHAPE_WEIGHT * shape.flatten()]))
        return found


def appearance_distance(first: Tensor, second: Tensor) -> Tensor:
    """How unlike two people look, >= 0, float32 [N], between rows [N, WIDTH] of `appearance`."""
    return (first - second).norm(dim=1)
