"""Upright squares around faces: crop them from photos for an edit, and paste the edit back.

The square is MagicFace's: 2.18 times as wide as the face, to include hair and shoulders. It is
tighter where the photo is too small. Beyond the photo's edge the edge pixels repeat, because
MagicFace would draw a black border as one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, pad

from .quads import laid_over, paste_quad

SPAN = 512 / (432 - 80) * 1.5  # sides of the square in widths of the face, as released
TIGHTEST = 1.15  # least side in lengths of the face's longer side, in small photos
VISIBLE = 0.6  # share of a face's box that must lie in the photo


@dataclass(frozen=True, eq=False)
class FaceCrop:
    """The squares of F faces in their photos, and where an edit may show.

    pictures: index of each face's photo. squares: int64 [F, 4] = x0 y0 x1 y1 in pixels, which may
    reach beyond the photo. masks: [F, S, S], 0..1, in the pixels of the cropped face. size: height
    and width of the photos. quads: [F, 4, 2], the corners of turned squares, clockwise from the
    upper left, where the faces were turned upright; `squares` then are the boxes around them.
    """

    pictures: tuple[int, ...]
    squares: Tensor
    masks: Tensor
    size: tuple[int, int]
    quads: Tensor | None = None

    def __len__(self) -> int:
        return len(self.pictures)

    def paste(self, photo: Tensor, edited: Tensor, face: int, feather: float) -> Tensor:
        """A copy of the photo [H, W, C] of a face with its edit [S, S, 3]; see `paste_square`."""
        mask = self.masks[face]
        if self.quads is not None:
            return paste_quad(photo, edited, self.quads[face], mask, feather)
        return paste_square(photo, edited, self.squares[face], mask, feather)


def square_around(box: Tensor, height: int, width: int) -> Tensor:
    """The square [4] = x0 y0 x1 y1, in whole pixels, around a face's box [4] in a photo.

    ValueError when so much of the face lies outside that there is nothing sensible to edit.
    """
    low, high = box[:2], box[2:]
    require_visible(low, high, height, width, VISIBLE)
    across, down = (high - low).tolist()
    room = max(min(height, width), TIGHTEST * max(across, down))
    side = round(min(SPAN * across, room))
    centre = (low + high) / 2
    starts = [_start(float(c), side, n) for c, n in zip(centre, (width, height), strict=True)]
    return torch.tensor([*starts, starts[0] + side, starts[1] + side])


def require_visible(low: Tensor, high: Tensor, height: int, width: int, least: float) -> None:
    """ValueError where less than a share of the box between two corners lies in a photo."""
    inside = (torch.minimum(high, low.new_tensor([width, height])) - low.clamp(min=0)).clamp(min=0)
    share = float(inside.prod() / (high - low).prod())
    if share < least:
        raise ValueError(
            f"only {100 * share:.0f} % of the face lies in the picture, at least "
            f"{100 * least:.0f} % must: take a picture that shows more of it"
        )


@contextmanager
def picture_named(index: int) -> Iterator[None]:
    """Say in a ValueError which picture it is about."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"picture {index + 1}: {error}") from error


def _start(centre: float, side: int, length: int) -> int:
    """Where a line of `side` pixels around `centre` begins, kept inside 0..length if it fits."""
    if side > length:
        return (length - side) // 2
    return min(max(round(centre - side / 2), 0), length - side)


def cut_square(picture: Tensor, square: Tensor, size: int) -> Tensor:
    """The square of a picture [H, W, C] as [size, size, C], smoothed where it gets smaller."""
    height, width = picture.shape[:2]
    x0, y0, x1, y1 = square.tolist()
    inside = picture[max(y0, 0) : y1, max(x0, 0) : x1].movedim(-1, 0)[None]
    margins = (max(-x0, 0), max(x1 - width, 0), max(-y0, 0), max(y1 - height, 0))
    whole = pad(inside, margins, mode="replicate")
    return _resized(whole, size)[0].movedim(0, -1).clamp(0, 1)


def to_square(points: Tensor, square: Tensor, size: int) -> Tensor:
    """Points [P, 2] in pixels of the photo -> pixels of the cropped square of `size`."""
    return (points - square[:2]) * (size / float(square[2] - square[0]))


def paste_square(
    photo: Tensor, edited: Tensor, square: Tensor, mask: Tensor, feather: float
) -> Tensor:
    """A copy of a photo with an edit of its square inside the mask; as `paste_quad`."""
    height, width = photo.shape[:2]
    x0, y0, x1, y1 = square.tolist()
    rows, columns = (slice(max(a, 0), min(b, n)) for a, b, n in ((y0, y1, height), (x0, x1, width)))
    here = slice(rows.start - y0, rows.stop - y0), slice(columns.start - x0, columns.stop - x0)
    weight = _weights(mask, feather, x1 - x0)[here][..., None].to(photo)
    drawn = _resized(edited[..., :3].movedim(-1, 0)[None], x1 - x0)[0].movedim(0, -1)
    return laid_over(photo, rows, columns, drawn[here].clamp(0, 1).to(photo), weight)


def _weights(mask: Tensor, feather: float, side: int) -> Tensor:
    """Opacity of the edit, [side, side]: 1 deep inside the mask, exactly 0 outside."""
    inside = (mask > 0.5).float()[None, None]
    radius = round(feather * len(mask))
    # The mean over a window is 0.5 on a straight edge and 1 a radius away from it.
    around = avg_pool2d(inside, 2 * radius + 1, stride=1, padding=radius)
    soft = _resized((2 * around - 1).clamp(0, 1), side)
    return (soft * interpolate(inside, (side, side)))[0, 0]


def _resized(images: Tensor, size: int) -> Tensor:
    """[N, C, H, W] -> [N, C, size, size]; unchanged where that is the size already."""
    if tuple(images.shape[-2:]) == (size, size):
        return images
    return interpolate(images.float(), (size, size), mode="bilinear", antialias=True)
