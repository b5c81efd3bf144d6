"""Masks of the AU term at the resolution of a UNet block."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d


def mask_for_block(mask: Tensor, height: int, width: int) -> Tensor:
    """A mask [N, 1, H, W], averaged, as one weight per token [N, height * width, 1], row by row."""
    return adaptive_avg_pool2d(mask, (height, width)).flatten(2).transpose(1, 2)


def block_size(height: int, width: int, tokens: int) -> tuple[int, int]:
    """The (height, width) of a block with `tokens` positions in a UNet on a latent of that size.

    Every level halves both sides, rounding up. ValueError if no level has that many.
    """
    h, w = height, width
    while h * w > tokens:
        h, w = -(-h // 2), -(-w // 2)
    if h * w != tokens:
        raise ValueError(f"no level of a {height} x {width} latent has {tokens} positions")
    return h, w
