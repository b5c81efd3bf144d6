"""Pictures with NaN or infinity: left out of what is measured, while the others go on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor


def finite_pictures(images: Tensor) -> Tensor:
    """Which of images [N, H, W, 3] have finite values only, bool [N]."""
    return images.isfinite().flatten(1).all(1).cpu()


def compare_finite(
    compare: Callable[[Tensor, Tensor, Sequence[Any]], Mapping[str, Tensor]],
    images: Tensor,
    references: Tensor,
    rows: Sequence[Any] = (),
) -> dict[str, Tensor]:
    """What `compare` says of images [N, H, W, 3] beside references, [N, H, W, 3] or one for all:
    metric -> [N], NaN where either is not finite, and nothing where that is so everywhere.

    `compare` is shown the finite pairs only, with those of `rows` that belong to them.
    """
    usable = finite_pictures(images) & finite_pictures(references)
    if usable.all():
        return dict(compare(images, references, rows))
    if not usable.any():
        return {}
    if len(references) > 1:
        references = references[usable]
    chosen = [row for row, use in zip(rows, usable.tolist(), strict=False) if use]
    found = compare(images[usable], references, chosen)
    return {name: _spread(torch.as_tensor(values), usable) for name, values in found.items()}


def _spread(values: Tensor, usable: Tensor) -> Tensor:
    """Values of the usable pictures at their places, float [N], NaN elsewhere."""
    result = torch.full((len(usable),), torch.nan)
    result[usable] = values.float().cpu()
    return result
