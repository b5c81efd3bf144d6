"""AUEditNet's estimators (section 4.1): two pictures of one person in, how the AUs differ out.

F_pre has the convolutions of VGG-16 (Simonyan and Zisserman 2015) and teaches the editor; H_est has
ResNet-50 (He et al. 2016) and judges it. How the two pictures' features meet is not published: here
they are averaged and subtracted, and two linear layers follow.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..facs import SET_A

VGG_16 = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # channels and layers of each stage
TOP = 5.0


@dataclass(frozen=True)
class SiameseConfig:
    """units: the AUs. backbone: "vgg16" or "resnet50". size: side of the pictures that it sees.
    share: of VGG-16's published channels. hidden: width between the two linear layers."""

    units: tuple[int, ...] = SET_A
    backbone: str = "vgg16"
    size: int = 224
    share: float = 1.0
    hidden: int = 256

    def __post_init__(self) -> None:
        if self.backbone not in BACKBONES:
            known = ", ".join(BACKBONES)
            raise ValueError(f"backbone {self.backbone!r} is not known: choose {known}")
        if self.backbone != "vgg16" and self.share != 1:
            raise ValueError(f"share is of vgg16 alone, and {self.backbone} has its own channels")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; see `from_dict`."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> SiameseConfig:
        """Read what `to_dict` wrote."""
        return cls(**{**values, "units": tuple(values["units"])})


class VGG16Trunk(nn.Module):
    """The convolutions of VGG-16, with the names of torchvision's."""

    def __init__(self, share: float = 1.0):
        super().__init__()
        layers: list[nn.Module] = []
        self.ends, before = [], 3
        for channels, count in VGG_16:
            width = max(8, round(channels * share))
            for _ in range(count):
                layers += [nn.Conv2d(before, width, 3, padding=1), nn.ReLU()]
                before = width
            layers.append(nn.MaxPool2d(2))
            self.ends.append(len(layers) - 2)
        self.features, self.width = nn.Sequential(*layers), before
        for layer in layers:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """The features of every stage, before it is halved."""
        found, x = [], pictures
        for number, layer in enumerate(self.features):
            x = layer(x)
            if number in self.ends:
                found.append(x)
        return found


class ResNet50Trunk(nn.Module):
    """torchvision's ResNet-50 without its last layer."""

    width = 2048

    def __init__(self, share: float = 1.0):
        super().__init__()
        from torchvision.models import resnet50  # of the training extra

        self.network = resnet50(weights=None)
        self.network.fc = nn.Identity()

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """The features of the four stages."""
        net, found = self.network, []
        x = net.maxpool(net.relu(net.bn1(net.conv1(pictures))))
        for stage in (net.layer1, net.layer2, net.layer3, net.layer4):
            x = stage(x)
            found.append(x)
        return found


BACKBONES = {"vgg16": VGG16Trunk, "resnet50": ResNet50Trunk}


class SiameseAU(nn.Module):
    """Pairs of pictures [N, 3, H, W] in -1..1 of one person -> differences of their AUs [N, K]."""

    def __init__(self, config: SiameseConfig):
        super().__init__()
        self.config = config
        self.trunk = BACKBONES[config.backbone](config.share)
        self.head = nn.Sequential(
            nn.Linear(self.trunk.width, config.hidden),
            nn.ReLU(),
            nn.Linear(config.hidden, len(config.units)),
        )

    def stages(self, pictures: Tensor) -> list[Tensor]:
        """f_k of Eq. 6: the features of every stage of the trunk."""
        return self.trunk(resized(pictures, self.config.size))

    def compare(self, stages: list[Tensor], reference: list[Tensor]) -> Tensor:
        """Intensities [N, K] of one face minus those of the other, from their last features.

        The head is used both ways round, so that a face differs from itself by exactly nothing.
        """
        change = stages[-1].mean((2, 3)) - reference[-1].mean((2, 3))
        return (self.head(change) - self.head(-change)) * (TOP / 2)

    def forward(self, pictures: Tensor, references: Tensor) -> Tensor:
        """How much more of each AU pictures show than references of the same people, [N, K]."""
        return self.compare(self.stages(pictures), self.stages(references))


def resized(pictures: Tensor, size: int) -> Tensor:
    """Pictures [N, C, H, W] as [N, C, size, size], smoothed where they get smaller."""
    if pictures.shape[-2:] == (size, size):
        return pictures
    return functional.interpolate(pictures, (size, size), mode="bilinear", antialias=True)


def pretrained_loss(
    stages: list[Tensor], target: list[Tensor], seen: Tensor, wanted: Tensor
) -> Tensor:
    """L_F, Eq. 6: mean squared error of F_pre's features, meaned over its K stages, and of what it
    estimates, in fifths of the scale."""
    features = [functional.mse_loss(a, b) for a, b in zip(stages, target, strict=True)]
    return torch.stack(features).mean() + functional.mse_loss(seen / TOP, wanted / TOP)
