"""StyleGAN2's generator in plain torch (Karras et al. 2020, "Analyzing and improving the image
quality of StyleGAN", arXiv 1912.04958), with fixed noise.

Weights have the names of rosinality's port, which e4e uses too. Nothing is compiled: features are
modulated instead of weights, which is the same function and leaves one convolution for a batch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

TAPS = (1.0, 3.0, 3.0, 1.0)  # of the low-pass filter, along each side
SLOPE, GAIN = 0.2, math.sqrt(2)  # of every activation
MAPPING_RATE = 0.01  # factor on the mapping network's weights and biases


@dataclass(frozen=True)
class StyleGAN2Config:
    """channels: of the layers of 4 x 4, 8 x 8, ... pixels. style: width of a row of W+. mapping:
    layers from z to W; 0 where nobody draws from z."""

    channels: tuple[int, ...]
    style: int = 512
    mapping: int = 8

    @property
    def size(self) -> int:
        """Pixels of a side."""
        return 2 ** (len(self.channels) + 1)

    @property
    def levels(self) -> int:
        """Rows M of a code in W+: 18 at 1024 pixels."""
        return 2 * len(self.channels)


def published_config(size: int, multiplier: int = 2) -> StyleGAN2Config:
    """The published widths at `size` pixels; the channel multiplier is 2 in config f, else 1."""
    resolutions = [2**power for power in range(2, int(math.log2(size)) + 1)]
    return StyleGAN2Config(tuple(min(512, 16384 * multiplier // r) for r in resolutions))


def modulated(features: Tensor, style: Tensor) -> Tensor:
    """Eq. 1: every input channel times its style. [N, C, H, W] with [N, C]."""
    return features * style[:, :, None, None]


def demodulation(weight: Tensor, style: Tensor, epsilon: float = 1e-8) -> Tensor:
    """Eq. 3: what brings each output channel back to unit deviation, [N, O], from weights
    [O, C, k, k] and styles [N, C]."""
    return torch.rsqrt(style.square() @ weight.square().sum((2, 3)).T + epsilon)


def low_pass(features: Tensor) -> Tensor:
    """Smooth [N, C, H, W] to [N, C, H - 1, W - 1] after a convolution that doubled the size."""
    kernel = _taps(features, 4.0).expand(features.shape[1], 1, -1, -1)
    return functional.conv2d(features, kernel, padding=1, groups=features.shape[1])


def doubled(pictures: Tensor) -> Tensor:
    """Pictures [N, C, H, W] at twice the size, by the same filter."""
    kernel = _taps(pictures, 4.0).expand(pictures.shape[1], 1, -1, -1)
    return functional.conv_transpose2d(
        pictures, kernel, stride=2, padding=1, groups=pictures.shape[1]
    )


def filter_taps(gain: float = 1.0) -> Tensor:
    """The low-pass filter [4, 4], its sum `gain`."""
    line = torch.tensor(TAPS)
    square = line[:, None] * line
    return square / square.sum() * gain


def _taps(like: Tensor, gain: float) -> Tensor:
    return filter_taps(gain).to(like)[None, None]


class EqualLinear(nn.Module):
    """A linear layer whose weights have unit deviation and are scaled when used. rate: factor on
    what is learned. activated: leaky, as in the mapping network."""

    def __init__(
        self, inputs: int, outputs: int, bias: float = 0.0, rate: float = 1.0, activated=False
    ):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / rate)
        self.bias = nn.Parameter(torch.full((outputs,), float(bias)))
        self.scale, self.rate, self.activated = rate / math.sqrt(inputs), rate, activated

    def forward(self, x: Tensor) -> Tensor:
        out = functional.linear(x, self.weight * self.scale, self.bias * self.rate)
        return functional.leaky_relu(out, SLOPE) * GAIN if self.activated else out


class UnitLength(nn.Module):
    """z brought to unit mean square."""

    def forward(self, z: Tensor) -> Tensor:
        return z * torch.rsqrt(z.square().mean(1, keepdim=True) + 1e-8)


class ModulatedConv(nn.Module):
    """A convolution whose input channels are scaled by a style."""

    def __init__(self, inputs: int, outputs: int, kernel: int, style: int, up: bool = False):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(1, outputs, inputs, kernel, kernel))
        self.modulation = EqualLinear(style, inputs, bias=1.0)
        self.scale, self.up, self.padding = 1 / math.sqrt(inputs * kernel**2), up, kernel // 2

    def forward(self, x: Tensor, code: Tensor, demodulate: bool = True) -> Tensor:
        style, weight = self.modulation(code), self.weight[0] * self.scale
        x = modulated(x, style)
        if self.up:
            x = low_pass(functional.conv_transpose2d(x, weight.transpose(0, 1), stride=2))
        else:
            x = functional.conv2d(x, weight, padding=self.padding)
        return modulated(x, demodulation(weight, style)) if demodulate else x


class FixedNoise(nn.Module):
    """Adds a weighted picture of noise."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        return x + self.weight * noise


class BiasedActivation(nn.Module):
    """A bias for each channel, then the leaky activation."""

    def __init__(self, channels: int):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return functional.leaky_relu(x + self.bias[:, None, None], SLOPE) * GAIN


class StyledConv(nn.Module):
    """Convolution, noise, activation."""

    def __init__(self, inputs: int, outputs: int, style: int, up: bool = False):
        super().__init__()
        self.conv = ModulatedConv(inputs, outputs, 3, style, up)
        self.noise = FixedNoise()
        self.activate = BiasedActivation(outputs)

    def forward(self, x: Tensor, code: Tensor, noise: Tensor) -> Tensor:
        return self.activate(self.noise(self.conv(x, code), noise))


class ToRGB(nn.Module):
    """A layer's part of the picture, added to what coarser layers drew."""

    def __init__(self, inputs: int, style: int):
        super().__init__()
        self.conv = ModulatedConv(inputs, 3, 1, style)
        self.bias = nn.Parameter(torch.zeros(1, 3, 1, 1))

    def forward(self, x: Tensor, code: Tensor, coarser: Tensor | None = None) -> Tensor:
        drawn = self.conv(x, code, demodulate=False) + self.bias
        return drawn if coarser is None else drawn + doubled(coarser)


class Constant(nn.Module):
    """The learned 4 x 4 features that every picture begins with."""

    def __init__(self, channels: int):
        super().__init__()
        self.input = nn.Parameter(torch.randn(1, channels, 4, 4))


class StyleGAN2(nn.Module):
    """Codes in W+ -> pictures."""

    def __init__(self, config: StyleGAN2Config):
        super().__init__()
        self.config = config
        style, channels = config.style, config.channels
        layers = [EqualLinear(style, style, 0.0, MAPPING_RATE, True) for _ in range(config.mapping)]
        self.style = nn.Sequential(UnitLength(), *layers)
        self.input = Constant(channels[0])
        self.conv1 = StyledConv(channels[0], channels[0], style)
        self.to_rgb1 = ToRGB(channels[0], style)
        self.convs, self.to_rgbs = nn.ModuleList(), nn.ModuleList()
        for before, after in zip(channels, channels[1:], strict=False):
            self.convs.append(StyledConv(before, after, style, up=True))
            self.convs.append(StyledConv(after, after, style))
            self.to_rgbs.append(ToRGB(after, style))
        self.noises = nn.Module()
        for number in range(2 * len(channels) - 1):
            side = 2 ** ((number + 5) // 2)
            self.noises.register_buffer(f"noise_{number}", torch.randn(1, 1, side, side))

    def map(self, z: Tensor) -> Tensor:
        """Rows of W, [N, S], from normal noise z [N, S]."""
        return self.style(z)

    def forward(self, codes: Tensor) -> Tensor:
        """Pictures [N, 3, R, R], about -1..1, of codes [N, M, S] in W+."""
        start = self.input.input.expand(len(codes), -1, -1, -1)
        x = self.conv1(start, codes[:, 0], self.noises.noise_0)
        picture = self.to_rgb1(x, codes[:, 1])
        for number, to_rgb in enumerate(self.to_rgbs):
            for part in (0, 1):
                row = 2 * number + part
                noise = getattr(self.noises, f"noise_{row + 1}")
                x = self.convs[row](x, codes[:, row + 1], noise)
            picture = to_rgb(x, codes[:, 2 * number + 3], picture)
        return picture
