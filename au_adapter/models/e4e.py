"""e4e's encoder (Tov et al. 2021, "Designing an encoder for StyleGAN image manipulation", arXiv
2102.02766): one picture -> its code in W+. Weights have the published names."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from .ir_se import IR_SE_50, REDUCTION, Stages, bottlenecks, stem
from .stylegan2 import EqualLinear

COARSE, MIDDLE = 3, 7  # the first levels that read the middle and the fine features


@dataclass(frozen=True)
class E4EConfig:
    """stages: channels and bottlenecks of the body. style, levels: of W+. size: side of the
    pictures that it reads, 16 x 2^p. reduction: of squeeze and excitation."""

    stages: Stages = IR_SE_50
    style: int = 512
    levels: int = 18
    size: int = 256
    reduction: int = REDUCTION


class StyleHead(nn.Module):
    """Features -> one row of W+, by convolutions that halve the size down to one pixel."""

    def __init__(self, inputs: int, style: int, halvings: int):
        super().__init__()
        layers: list[nn.Module] = []
        for number in range(halvings):
            layers += [nn.Conv2d(style if number else inputs, style, 3, 2, 1), nn.LeakyReLU()]
        self.convs = nn.Sequential(*layers)
        self.linear = EqualLinear(style, style)

    def forward(self, features: Tensor) -> Tensor:
        return self.linear(self.convs(features).flatten(1))


class E4E(nn.Module):
    """Pictures [N, 3, size, size] in -1..1 -> codes [N, M, S], from which the mean code is still
    missing."""

    def __init__(self, config: E4EConfig):
        super().__init__()
        self.config = config
        (first, _), (fine, _), (middle, _), (coarse, _) = config.stages
        self.input_layer = stem(first)
        self.body = bottlenecks(first, config.stages, config.reduction)
        smallest = (config.size // 16).bit_length() - 1
        self.styles = nn.ModuleList(
            StyleHead(coarse, config.style, smallest + (level >= COARSE) + (level >= MIDDLE))
            for level in range(config.levels)
        )
        self.latlayer1 = nn.Conv2d(middle, coarse, 1)
        self.latlayer2 = nn.Conv2d(fine, coarse, 1)

    def forward(self, pictures: Tensor) -> Tensor:
        coarse, middle, fine = self.pyramid(pictures)
        first = self.styles[0](coarse)  # W itself; each further level is a step away from it
        rows = [first]
        for level, head in enumerate(self.styles[1:], 1):
            features = coarse if level < COARSE else middle if level < MIDDLE else fine
            rows.append(first + head(features))
        return torch.stack(rows, 1)

    def pyramid(self, pictures: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features of 1/16, 1/8 and 1/4 of the size, the finer ones with the coarser in them."""
        taps, x = [], self.input_layer(pictures)
        ends = _ends(self.config.stages)
        for number, layer in enumerate(self.body):
            x = layer(x)
            if number in ends:
                taps.append(x)
        _, fine, middle, coarse = taps
        middle = _enlarged(coarse, middle) + self.latlayer1(middle)
        return coarse, middle, _enlarged(middle, fine) + self.latlayer2(fine)


def _ends(stages: Stages) -> list[int]:
    """The number of the last bottleneck of each stage."""
    counts = [count for _, count in stages]
    return [sum(counts[: n + 1]) - 1 for n in range(len(counts))]


def _enlarged(small: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(small, like.shape[-2:], mode="bilinear", align_corners=True)
