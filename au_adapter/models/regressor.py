"""A small network that reads AU intensities from a picture of one rendered head."""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from ..facs import SET_A


def _downsample(source: int, target: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(source, target, 3, stride=2, padding=1),
        nn.GroupNorm(8, target),
        nn.SiLU(),
        nn.Conv2d(target, target, 3, padding=1),
        nn.GroupNorm(8, target),
        nn.SiLU(),
    )


class AURegressor(nn.Module):
    """Pictures [N, 3, H, W] in 0..1, one tightly framed face each -> [N, K], about 0..5."""

    def __init__(self, units: tuple[int, ...] = SET_A, size: int = 128, width: int = 32):
        super().__init__()
        self.units = tuple(units)
        self.size = size
        widths = [width, 2 * width, 3 * width, 4 * width]
        self.features = nn.Sequential(
            nn.Conv2d(3, width, 4, stride=2, padding=1),
            nn.SiLU(),
            *(_downsample(a, b) for a, b in zip([width, *widths[:-1]], widths, strict=True)),
        )
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.Dropout(0.2),
            nn.Linear(widths[-1] * (size // 32) ** 2, 256),
            nn.SiLU(),
            nn.Linear(256, len(self.units)),
        )

    def forward(self, pictures: Tensor) -> Tensor:
        if pictures.shape[-2:] != (self.size, self.size):
            pictures = functional.interpolate(
                pictures, (self.size, self.size), mode="bilinear", antialias=True
            )
        return self.head(self.features(pictures * 2 - 1))

    @torch.no_grad()
    def read(self, images: Tensor) -> Tensor:
        """Intensities [N, K], clamped to 0..5, of images [N, H, W, 3] in 0..1, ComfyUI's layout."""
        return self(images.movedim(-1, 1)).clamp(0, 5)
