"""The left and the right half of faces as masks, for adapters that move both sides alike."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .face import Face

# Down the middle of the face, without the tip of the nose, which a turned head moves sideways.
MIDLINE = [10, 151, 9, 8, 168, 6, 0, 13, 14, 17, 152]
LEFT_EAR, RIGHT_EAR = 454, 234


def half_masks(
    frames: Sequence[Sequence[Face]],
    size: tuple[int, int],
    softness: float = 0.1,
    midline: float = 0.5,
) -> tuple[Tensor, Tensor]:
    """Left and right, each [N, H, W] in 0..1, adding up to 1; sides are the subject's.

    Args:
        frames: the faces of each of N pictures. Every pixel belongs to the nearest face.
        size: (H, W).
        softness: width of the transition between the halves, as a share of the face's longer side.
        midline: the vertical line that divides a picture without a face, as a share of its width;
            the viewer's right of it is left, and `softness` is a share of the picture's width.
    """
    left = torch.stack([_left_half(faces, size, softness, midline) for faces in frames])
    return left, 1 - left


def _left_half(
    faces: Sequence[Face], size: tuple[int, int], softness: float, midline: float
) -> Tensor:
    height, width = size
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    pixels = torch.stack([x, y], -1)
    if not faces:
        return _ramp(pixels[..., 0] - midline * width, softness * width)
    halves = torch.stack([_half_of(face, pixels, softness) for face in faces])
    centres = torch.stack([face.points[MIDLINE, :2].mean(0) for face in faces])
    nearest = (pixels - centres[:, None, None]).norm(dim=-1).argmin(0, keepdim=True)
    return halves.gather(0, nearest)[0]


def _half_of(face: Face, pixels: Tensor, softness: float) -> Tensor:
    """How far each pixel [H, W, 2] lies to the left of the face's midline, in 0..1."""
    middle = face.points[MIDLINE, :2]
    # The unit vector square to the straight line that fits the midline best.
    across = torch.linalg.svd(middle - middle.mean(0)).Vh[1]
    if (face.points[LEFT_EAR, :2] - face.points[RIGHT_EAR, :2]) @ across < 0:
        across = -across
    longer_side = float((face.box[2:] - face.box[:2]).max())
    return _ramp((pixels - middle.mean(0)) @ across, softness * longer_side)


def _ramp(distance: Tensor, width: float) -> Tensor:
    """0 to 1 over `width` pixels, at least one, with 0.5 at distance 0."""
    return (0.5 + distance / max(width, 1.0)).clamp(0, 1)
