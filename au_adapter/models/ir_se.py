"""IR-SE networks (Deng et al. 2019, "ArcFace"), as e4e and ArcFace build on them: bottlenecks with
a shortcut, and channels weighed by squeeze and excitation (Hu et al. 2018)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

# Channels and bottlenecks of the stages of IR-SE-50; the first bottleneck of each halves the size.
IR_SE_50 = ((64, 3), (128, 4), (256, 14), (512, 3))
REDUCTION = 16  # of the channels in squeeze and excitation
Stages = tuple[tuple[int, int], ...]


class SqueezeExcitation(nn.Module):
    """Every channel times a number 0..1 that depends on the means of all."""

    def __init__(self, channels: int, squeezed: int):
        super().__init__()
        self.fc1 = nn.Conv2d(channels, squeezed, 1, bias=False)
        self.fc2 = nn.Conv2d(squeezed, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        means = x.mean((2, 3), keepdim=True)
        return x * self.fc2(functional.relu(self.fc1(means))).sigmoid()


class Bottleneck(nn.Module):
    """Two convolutions beside a shortcut. [N, C, H, W] -> [N, D, H / stride, W / stride]."""

    def __init__(self, inputs: int, outputs: int, stride: int, reduction: int):
        super().__init__()
        self.shortcut_layer = nn.MaxPool2d(1, stride)
        if inputs != outputs:
            self.shortcut_layer = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )
        self.res_layer = nn.Sequential(
            nn.BatchNorm2d(inputs),
            nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False),
            nn.PReLU(outputs),
            nn.Conv2d(outputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            SqueezeExcitation(outputs, outputs // reduction),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.res_layer(x) + self.shortcut_layer(x)


def stem(channels: int) -> nn.Sequential:
    """The first layer: pictures [N, 3, H, W] -> [N, C, H, W]."""
    return nn.Sequential(
        nn.Conv2d(3, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels), nn.PReLU(channels)
    )


def bottlenecks(inputs: int, stages: Stages, reduction: int = REDUCTION) -> nn.Sequential:
    """All bottlenecks of the stages (channels, number), in one row."""
    layers, before = [], inputs
    for channels, count in stages:
        for number in range(count):
            layers.append(Bottleneck(before, channels, 1 if number else 2, reduction))
            before = channels
    return nn.Sequential(*layers)


class ArcFace(nn.Module):
    """Who somebody is, as a unit vector [N, 512], of aligned pictures [N, 3, 112, 112] in -1..1.

    The layout of `model_ir_se50.pth`, which e4e's training uses.
    """

    side = 112

    def __init__(self, stages: Stages = IR_SE_50, width: int = 512):
        super().__init__()
        channels = stages[-1][0]
        self.input_layer = stem(stages[0][0])
        self.body = bottlenecks(stages[0][0], stages)
        self.output_layer = nn.Sequential(
            nn.BatchNorm2d(channels),
            nn.Dropout(),
            nn.Flatten(),
            nn.Linear(channels * (self.side // 16) ** 2, width),
            nn.BatchNorm1d(width),
        )

    def forward(self, pictures: Tensor) -> Tensor:
        return functional.normalize(self.output_layer(self.body(self.input_layer(pictures))))
