"""Rotated boxes in a picture: crop them to squares, and map points back.

A box is [centre x, centre y, width, height, angle]: pixels, and radians clockwise on the screen.
The sampling is MediaPipe's (image_to_tensor with OpenCV's warpPerspective on 8-bit pictures):
bilinear without antialiasing, the crop's pixel (0, 0) on the box's corner, positions rounded to
1/32 pixel and values to 1/255. In strong downscaling the rounding shows in the points.
"""

from __future__ import annotations

import torch
from torch import Tensor

PLACES = 32
VALUES = 255
HALF = 0.5004  # rounds halves up, which float32 leaves slightly below


def cut(images: Tensor, chosen: list[int], boxes: Tensor, size: int, border: str) -> Tensor:
    """Crop box i of boxes [K, 5] from picture chosen[i] of images [N, H, W, 3].

    Returns [K, size, size, 3] in 0..1. border: what lies outside the picture, its nearest pixel
    ("edge") or black ("black"). Pictures may be large, so none is copied.
    """
    count, height, width, _ = images.shape
    x, y = (place.to(images.device) for place in _places(boxes, size))
    first = torch.tensor(chosen, device=images.device)[:, None, None] * height
    pixels = images.reshape(count * height * width, -1)
    values = torch.zeros((), device=images.device)
    for right, below in ((0, 0), (1, 0), (0, 1), (1, 1)):
        column, x_weight = _neighbour(x, right, width, border)
        row, y_weight = _neighbour(y, below, height, border)
        index = ((first + row) * width + column).reshape(-1)
        weight = (x_weight * y_weight).reshape(-1, 1)
        values = values + weight * pixels.index_select(0, index).float()
    values = (values.clamp_(0, 1).mul_(VALUES) + HALF).floor_() / VALUES
    return values.reshape(len(boxes), size, size, -1)


def _places(boxes: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Position in the picture of each pixel of a crop, in 1/32 pixel: x and y, [K, size, size]."""
    x, y, width, height = (boxes[:, :4, None, None].double() * PLACES).unbind(1)
    angle = boxes[:, 4, None, None].double()
    line = torch.arange(size, dtype=torch.float64) / size - 0.5
    across, down = line * width, line[:, None] * height
    cosine, sine = angle.cos(), angle.sin()
    x = x + cosine * across - sine * down
    y = y + sine * across + cosine * down
    return x.round_().long(), y.round_().long()


def _neighbour(place: Tensor, step: int, length: int, border: str) -> tuple[Tensor, Tensor]:
    """The pixel before (step 0) or after (1) a position in 1/32 pixel, and its weight."""
    pixel, part = (place >> 5) + step, (place & 31).float() / PLACES
    nearest = pixel.clamp(0, length - 1)
    weight = part if step else 1 - part
    return nearest, weight * (nearest == pixel) if border == "black" else weight


def to_picture(points: Tensor, boxes: Tensor) -> Tensor:
    """Points [N, P, 2] in 0..1 across boxes [N, 5] -> pixels of the picture.

    A depth as third coordinate is scaled like x.
    """
    centre, size, angle = boxes[:, None, :2], boxes[:, None, 2:4], boxes[:, None, 4:]
    x, y = ((points[..., :2] - 0.5) * size).split(1, -1)
    cosine, sine = angle.cos(), angle.sin()
    turned = torch.cat([cosine * x - sine * y, sine * x + cosine * y], -1) + centre
    return torch.cat([turned, points[..., 2:] * size[..., :1]], -1)
