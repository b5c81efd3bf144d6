"""What an edit should have left alone: the background, and the head's pose."""

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

    images, references: [N, H, W, 3]. face, reference_face: masks [N, H, W], 1 on the face of the
    picture and of the reference; the first alone stands for both. NaN where a mask leaves no
    background. MagicFace section IV-A masks both faces; it states neither the rule of its mask nor
    whether masked pixels count: counted as equal, its figure would be this one times the root of
    the background's share.
    """
    for side in (images, references):
        checks.pictures("background_rmse", side)
    images, references = checks.pair("background_rmse", images, references, "N H W 3")
    masks = [_mask(mask, images) for mask in (face, reference_face) if mask is not None]
    background = 1 - torch.stack(masks).amax(0)
    square = (images - references).square().mean(3) * background
    return (square.sum((1, 2)) / background.sum((1, 2))).sqrt().float()


def _mask(mask: Tensor, images: Tensor) -> Tensor:
    if mask.shape != images.shape[:3]:
        raise ValueError(
            f"background_rmse needs a face mask {list(images.shape[:3])} for pictures "
            f"{list(images.shape)}, found {list(mask.shape)}"
        )
    mask = mask.double()
    if not ((mask >= 0) & (mask <= 1)).all():
        raise ValueError(
            f"background_rmse takes masks from 0 to 1, found {mask.min():.4g} to {mask.max():.4g}"
        )
    return mask


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
