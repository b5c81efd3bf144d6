"""Turned squares in photos: cut them out upright, and paste an edit of one back."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, grid_sample, interpolate

# Corners of a quad, in this order: upper left, upper right, lower right, lower left.


def cut_quad(picture: Tensor, quad: Tensor, size: int) -> Tensor:
    """The turned square [4, 2], in pixels of a picture [H, W, C], upright as [size, size, C].

    Smoothed where it gets smaller; beyond the picture's edge the edge pixels repeat.
    """
    image = picture.movedim(-1, 0)[None].float()
    steps = float((quad[1] - quad[0]).norm()) / size  # pixels of the picture for one of the result
    if steps > 1:  # as many pixels as the result has, so that none is passed over
        small = [max(1, round(n / steps)) for n in image.shape[-2:]]
        scale = torch.tensor([small[1] / image.shape[-1], small[0] / image.shape[-2]])
        image = interpolate(image, small, mode="bilinear", antialias=True)
        quad = quad * scale
    line = ((torch.arange(size) + 0.5) / size)[:, None]
    places = line[:, None] * (quad[3] - quad[0]) + line * (quad[1] - quad[0])
    sides = quad.new_tensor([image.shape[-1], image.shape[-2]])
    found = _read(image, (places + quad[0]) / sides, "border")
    return found[0].movedim(0, -1).clamp(0, 1)


def to_quad(points: Tensor, quad: Tensor, size: int) -> Tensor:
    """Points [P, 2] in pixels of the photo -> pixels of the upright square of `size`."""
    axes = torch.stack([quad[1] - quad[0], quad[3] - quad[0]], 1)
    return torch.linalg.solve(axes, (points - quad[0]).T).T * size


def paste_quad(photo: Tensor, edited: Tensor, quad: Tensor, mask: Tensor, feather: float) -> Tensor:
    """A copy of a photo [H, W, C] with an edit [S, S, 3] of its quad inside the mask [S, S].

    Size, channels and every pixel outside the mask stay the same to the bit; alpha is not touched,
    and a grey photo gets the edit's grey. feather: width of the soft edge inside the mask, as a
    share of the square's side.
    """
    height, width = photo.shape[:2]
    rows, columns = (_span(quad[:, axis], n) for axis, n in ((1, height), (0, width)))
    if not (len(rows) and len(columns)):
        return photo.clone()
    y, x = torch.meshgrid(torch.tensor(rows), torch.tensor(columns), indexing="ij")
    places = (torch.stack([x, y], -1) + 0.5).reshape(-1, 2)
    inside = to_quad(places, quad, 1).reshape(len(rows), len(columns), 2)
    side = max(1, round(float((quad[1] - quad[0]).norm())))
    layers = torch.cat([edited[..., :3].float(), soft_mask(mask, feather)[..., None]], -1)
    layers = layers.movedim(-1, 0)[None]
    if side < layers.shape[-1]:
        layers = interpolate(layers, (side, side), mode="bilinear", antialias=True)
    *drawn, weight = _read(layers, inside, "zeros")[0].to(photo)
    allowed = _read((mask > 0.5).float()[None, None], inside, "zeros", "nearest")[0, 0]
    weight = (weight * allowed.to(photo)).clamp(0, 1)[..., None]
    place = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    return laid_over(photo, *place, torch.stack(drawn, -1).clamp(0, 1), weight)


def laid_over(photo: Tensor, rows: slice, columns: slice, drawn: Tensor, weight: Tensor) -> Tensor:
    """A copy of a photo with a picture of its rows and columns over it, by weight 0..1 [h, w, 1]:
    alpha is not touched, and a grey photo gets the picture's grey."""
    if photo.shape[-1] == 1:
        drawn = drawn.mean(-1, keepdim=True)
    result = photo.clone()
    here = result[rows, columns, : drawn.shape[-1]]
    here.copy_(torch.where(weight > 0, torch.lerp(here, drawn, weight), here))
    return result


def soft_mask(mask: Tensor, feather: float) -> Tensor:
    """Opacity of an edit, [S, S]: 1 deep inside the mask [S, S], exactly 0 outside."""
    inside = (mask > 0.5).float()[None, None]
    radius = round(feather * len(mask))
    # The mean over a window is 0.5 on a straight edge and 1 a radius away from it.
    around = avg_pool2d(inside, 2 * radius + 1, stride=1, padding=radius)
    return ((2 * around - 1).clamp(0, 1) * inside)[0, 0]


def _span(values: Tensor, length: int) -> range:
    """The whole pixels that a side of a quad reaches, inside 0..length."""
    low, high = math.floor(float(values.min())), math.ceil(float(values.max()))
    return range(max(low, 0), min(high, length))


def _read(images: Tensor, places: Tensor, beyond: str, mode: str = "bilinear") -> Tensor:
    """Images [1, C, H, W] at places [h, w, 2], in shares of their sides."""
    grid = (2 * places - 1)[None]
    return grid_sample(images, grid, mode=mode, padding_mode=beyond, align_corners=False)
