"""What an edit of a face left alone: the person, the background, the head's pose."""

from __future__ import annotations

import torch
from torch import Tensor

from ..faces import Face, FaceLandmarker, PersonSegmenter, head_angles
from ..faces.jaw_background import PERSON
from ..metrics import background_rmse, head_pose_rmse
from .appearance import Appearance

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
        """MEASURES -> float32 [N], of pictures [N, H, W, 3] in 0..1 and their photos, or the one
        photo [1, H, W, 3] that all are edits of."""
        both = [(p, self.landmarker.detect(p, maximum_faces=1)) for p in (edited, photos)]
        ours, theirs = (self.appearance.of_faces(*found) for found in both)
        background = self.background(edited, photos)
        angles, resting = (_angles(frames) for _, frames in both)
        pose = _pose(angles, resting.expand_as(angles))
        return dict(zip(MEASURES, ((ours - theirs).norm(dim=1), background, pose), strict=True))

    def background(self, edited: Tensor, photos: Tensor) -> Tensor:
        """background_rmse [N] of pictures and their photos, or one photo."""
        person = self.person(photos).float().expand(edited.shape[:-1])
        return background_rmse(edited, photos.expand_as(edited), person)

    def person(self, photos: Tensor) -> Tensor:
        """Where a person is, as MagicFace's pictures are prepared, bool [N, H, W]."""
        return self.segmenter.mask(photos) > PERSON


def _pose(ours: Tensor, theirs: Tensor) -> Tensor:
    """Radians [N] between angles [N, 3], NaN where either is."""
    found = (ours + theirs).isfinite().all(1)
    result = torch.full((len(ours),), torch.nan)
    if found.any():
        result[found] = head_pose_rmse(ours[found], theirs[found])
    return result


def _angles(frames: list[list[Face]]) -> Tensor:
    """Radians [N, 3] of the first face of each frame, NaN where none was found."""
    nothing = torch.full((3,), torch.nan)
    return torch.stack([head_angles(f[0].pose).deg2rad() if f else nothing for f in frames])
