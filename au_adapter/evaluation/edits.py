"""What an edit of a face left alone: the person, the background, the head's pose."""

from __future__ import annotations

import torch
from torch import Tensor

from ..faces import FaceLandmarker, PersonSegmenter, head_angles
from ..faces.jaw_background import PERSON
from .appearance import Appearance
from .metrics import background_rmse, head_pose_rmse

MEASURES = ("identity_l2", "background_rmse", "head_pose_rmse")


class EditMeasure:
    """Edits beside their photos, by networks that had no part in the edit.

    identity_l2: distance by `Appearance`, which is no face recognition. background_rmse: outside
    the person of the photo, 0..1. head_pose_rmse: radians. NaN where a face was not found.
    """

    def __init__(self, landmarker: FaceLandmarker, segmenter: PersonSegmenter):
        self.landmarker, self.segmenter = landmarker, segmenter
        self.appearance = Appearance(landmarker, segmenter)

    def __call__(self, edited: Tensor, photos: Tensor) -> dict[str, Tensor]:
        """MEASURES -> float32 [N], of pictures [N, H, W, 3] in 0..1 and their photos."""
        identity = (self.appearance(edited) - self.appearance(photos)).norm(dim=1)
        background = background_rmse(edited, photos, self.person(photos).float())
        return dict(zip(MEASURES, (identity, background, self._pose(edited, photos)), strict=True))

    def person(self, photos: Tensor) -> Tensor:
        """Where a person is, as MagicFace's pictures are prepared, bool [N, H, W]."""
        return self.segmenter.mask(photos) > PERSON

    def _pose(self, edited: Tensor, photos: Tensor) -> Tensor:
        ours, theirs = self._angles(edited), self._angles(photos)
        found = (ours + theirs).isfinite().all(1)
        result = torch.full((len(ours),), torch.nan)
        if found.any():
            result[found] = head_pose_rmse(ours[found], theirs[found])
        return result

    def _angles(self, images: Tensor) -> Tensor:
        """Radians [N, 3], NaN where no face was found."""
        frames = self.landmarker.detect(images, maximum_faces=1)
        nothing = torch.full((3,), torch.nan)
        return torch.stack([head_angles(f[0].pose).deg2rad() if f else nothing for f in frames])
