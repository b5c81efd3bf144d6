"""What a picture must be before faces are looked for in it."""

from __future__ import annotations

import logging

from torch import Tensor

LOGGER = logging.getLogger("au_adapter")
BATCH = 16  # pictures or faces that go through a network together


def in_colour(images: Tensor) -> Tensor:
    """Pictures [N, H, W, 1, 3 or 4] -> [N, H, W, 3]: grey is repeated, alpha dropped."""
    return images.expand(-1, -1, -1, 3) if images.shape[-1] == 1 else images[..., :3]


def finite_pictures(images: Tensor) -> tuple[Tensor, list[list[int]]]:
    """Pictures [N, H, W, 3] of pictures with 1 (grey), 3 or 4 channels (alpha is left out), and the
    indices of those that are finite, in groups that go through a network together.

    Pictures with NaN or infinity are named in the log. Raises ValueError for other shapes, and
    TypeError for values that are not floating point.
    """
    if images.ndim != 4 or images.shape[-1] not in (1, 3, 4) or 0 in images.shape[1:3]:
        raise ValueError(
            f"Pictures are [N, height, width, 3] with values 0..1, found {tuple(images.shape)}"
        )
    if not images.is_floating_point():
        raise TypeError(f"Pictures are floating point in 0..1, found {images.dtype}; divide by 255")
    images = in_colour(images).contiguous()  # crops address its pixels by one number
    finite = [index for index, picture in enumerate(images) if picture.isfinite().all()]
    for index in sorted({*range(len(images))} - {*finite}):
        LOGGER.warning(
            f"Picture {index + 1} of {len(images)} has values that are not finite (NaN or "
            "infinity); nothing is read from it. They come from the step that made it"
        )
    return images, [finite[start : start + BATCH] for start in range(0, len(finite), BATCH)]
