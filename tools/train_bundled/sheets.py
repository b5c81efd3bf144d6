"""Rows of pictures in one file, to look at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torchvision.transforms.functional import to_pil_image
from torchvision.utils import make_grid

SCALE = 2  # a picture of 128 pixels is small on a screen


def save_rows(path: Path, rows: Sequence[Tensor]) -> None:
    """Write rows of as many pictures [N, 3, H, W] in 0..1 each."""
    grid = make_grid(torch.cat(list(rows)), nrow=len(rows[0]), padding=2, pad_value=1.0)
    picture = to_pil_image(grid.clamp(0, 1))
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.resize((SCALE * picture.width, SCALE * picture.height)).save(path)
