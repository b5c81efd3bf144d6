"""A batch of pictures as Google's face networks see it; each network looks once."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from ..faces import Face, FaceLandmarker, PersonSegmenter, head_angles
from ..faces.jaw_background import PERSON, fill
from ..faces.topology import FACE_OVAL
from .appearance import WIDTH, described


class Observed:
    """What `comparison` asks of pictures [N, H, W, 3] in 0..1, computed when it is first asked.

    The first face of a picture counts. Of a picture in which no face was found, everything that
    needs one is NaN.
    """

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
        nothing = torch.full((height, width), torch.nan)
        return torch.stack([_oval(f, height, width) if f else nothing for f in self.faces])

    @cached_property
    def angles(self) -> Tensor:
        """The head's yaw, pitch and roll in radians, [N, 3]."""
        nothing = torch.full((3,), torch.nan)
        return torch.stack([head_angles(f.pose).deg2rad() if f else nothing for f in self.faces])

    @cached_property
    def appearance(self) -> Tensor:
        """Colours and shape of each person, [N, WIDTH]: see `appearance`."""
        nothing = torch.full((WIDTH,), torch.nan)
        seen = zip(self.pixels, self.faces, self.ovals, self.people, strict=True)
        return torch.stack(
            [
                described(p, face, oval > 0, who > 0) if face else nothing
                for p, face, oval, who in seen
            ]
        )


def _oval(face: Face, height: int, width: int) -> Tensor:
    outline = face.points[list(FACE_OVAL), :2]
    return fill(outline, max(height, width))[:height, :width].float()
