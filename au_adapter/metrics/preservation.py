"""What an edit should have left alone: the pixels outside the face or person, the head's pose."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from . import checks


def background_rmse(
    images: Tensor, references: Tensor, face: Tensor, reference_face: Tensor | None = None
) -> Tensor:
    """Root mean square difference of pixels outside the face, 0..1, float32 [N]. Lower is better.

        sqrt( sum_p b_p mean_c (image - reference)^2 / sum_p b_p ),  b = 1 - max(face masks)

    images, references: [N, H, W, 3]. face, reference_face: masks [N, H, W], 1 on the face; the
    first alone stands for both. NaN where a mask leaves no background. MagicFace section IV-A masks
    the face area of both pictures. It does not say how the mask is made, nor whether masked pixels
    count: counted as equal, its figure would be this one times the root of the background's share.
    Hair, neck and clothes are background here; see `person_rmse`.
    """
    return _rmse_outside("background_rmse", images, references, face, reference_face)


def person_rmse(
    images: Tensor, references: Tensor, person: Tensor, reference_person: Tensor | None = None
) -> Tensor:
    """`background_rmse` with masks of the whole person, hair and clothes included.

    No paper reports it: it is what MagicFace's released weights are told to keep, as they see the
    picture with the whole person masked.
    """
    return _rmse_outside("person_rmse", images, references, person, reference_person)


def picture_rmse(images: Tensor, references: Tensor) -> Tensor:
    """Root mean square difference of all pixels, 0..1, float32 [N]; 0 is the same picture."""
    nowhere = images.new_zeros(images.shape[:3])
    return _rmse_outside("picture_rmse", images, references, nowhere, None)


def head_pose_rmse(poses: Tensor, references: Tensor) -> Tensor:
    """Root mean square difference of pose angles, radians, float32 [N]. Lower is better.

        sqrt( 1/3 sum_i (pose_i - reference_i)^2 ),  each difference the short way round

    poses, references: [N, 3] in radians, both from one estimator; small degrees cannot be told from
    radians, so convert what `faces.pose` gives (torch.deg2rad). MagicFace section IV-A takes
    FLAME's pose coefficients, by an estimator that it does not name; name yours.
    """
    poses, references = checks.pair("head_pose_rmse", poses, references, "N 3")
    largest = max(poses.abs().max().item(), references.abs().max().item())
    if poses.shape[1] != 3 or largest > 2 * math.pi:
        raise ValueError(
            f"head_pose_rmse takes three angles a face in radians; found {list(poses.shape)} up to "
            f"{largest:.4g}. Convert degrees with torch.deg2rad"
        )
    difference = torch.remainder(poses - references + math.pi, 2 * math.pi) - math.pi
    return difference.square().mean(1).sqrt().float()


def _rmse_outside(
    metric: str, images: Tensor, references: Tensor, mask: Tensor, reference_mask: Tensor | None
) -> Tensor:
    for side in (images, references):
        checks.pictures(metric, side)
    images, references = checks.pair(metric, images, references, "N H W 3")
    masks = [checks.mask(metric, m, images) for m in (mask, reference_mask) if m is not None]
    outside = 1 - torch.stack(masks).amax(0)
    square = (images - references).square().mean(3) * outside
    return (square.sum((1, 2)) / outside.sum((1, 2))).sqrt().float()
