"""Turned boxes in a picture: cut them out as squares, and bring points back.

A box is [centre x, centre y, width, height, angle]: pixels, and radians clockwise on the screen.
The sampling is MediaPipe's (image_to_tensor with OpenCV's warpPerspective on 8-bit pictures):
bilinear without smoothing, the crop's pixel (0, 0) on the box's corner, places counted in 1/32
pixel and values in 1/255. Where a picture is made much smaller, the rounding shows in the points.
"""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor

PLACES = 32
VALUES = 255
HALF = 0.501  # halves go up; float32 leaves them a little below


def whole(height: int, width: int) -> Tensor:
    """The box [5] of a whole picture; cut out, it is stretched to a square."""
    return torch.tensor([width / 2, height / 2, width, height, 0.0])


def letterbox(height: int, width: int) -> Tensor:
    """The smallest upright square box [5] around a whole picture."""
    side = max(height, width)
    return torch.tensor([width / 2, height / 2, side, side, 0.0])


def cut(images: Tensor, chosen: list[int], boxes: Tensor, size: int, border: str) -> Tensor:
    """Cut box i of boxes [K, 5] out of picture chosen[i] of images [N, H, W, 3].

    Returns [K, size, size, 3] in 0..1. Outside a picture there is its nearest pixel (border
    "edge") or black ("black"). Pictures may be large, so none of them is copied.
    """
    line = torch.arange(size, dtype=torch.float32) / size
    corners = torch.cartesian_prod(line, line).flip(-1).expand(len(boxes), -1, 2)
    places = (to_picture(corners, boxes) * PLACES).round() / PLACES
    height, width = images.shape[1:3]
    # grid_sample counts from -1 to 1 between the outer edges of the outer pixels.
    grids = (2 * places + 1) / places.new_tensor([width, height]) - 1
    grids = grids.reshape(-1, 1, size, size, 2).to(images.device)
    mode = {"edge": "border", "black": "zeros"}[border]
    crops = [
        functional.grid_sample(_channels_first(images[i]), grid, "bilinear", mode, False)
        for i, grid in zip(chosen, grids, strict=True)
    ]
    values = torch.cat(crops).permute(0, 2, 3, 1).clamp(0, 1) * VALUES
    return (values + HALF).floor() / VALUES


def _channels_first(picture: Tensor) -> Tensor:
    """[H, W, 3] -> float32 [1, 3, H, W], a view where it is float32 already."""
    return picture[None].float().permute(0, 3, 1, 2)


def to_picture(points: Tensor, boxes: Tensor) -> Tensor:
    """Points [N, P, 2] with 0..1 across a box -> pixels of the picture, for boxes [N, 5].

    A depth as third coordinate comes out in pixels too: it is scaled like x.
    """
    centre, size, angle = boxes[:, None, :2], boxes[:, None, 2:4], boxes[:, None, 4:]
    x, y = ((points[..., :2] - 0.5) * size).split(1, -1)
    cosine, sine = angle.cos(), angle.sin()
    turned = torch.cat([cosine * x - sine * y, sine * x + cosine * y], -1) + centre
    return torch.cat([turned, points[..., 2:] * size[..., :1]], -1)
