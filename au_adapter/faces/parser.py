"""Parts of a face by BiSeNet, which MagicFace's own preparation uses.

BiSeNet (Yu et al., 2018) on a ResNet-18, as published in 79999_iter.pth: 19 classes of
CelebAMask-HQ. Module names are those of that file.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, relu

from ..weights.tensors import read_tensors
from .picture_checks import finite_pictures

SIDE = 512  # pixels; the size that the published weights were trained with
CLASSES = 19
BACKGROUND = 0
# What the later version of MagicFace's script blackens: skin, brows, eyes, glasses, nose, mouth,
# lips and necklace. Ears, neck, clothes, hair and hat stay.
FACE = (*range(1, 7), *range(10, 14), 15)
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet


class FaceParser(nn.Module):
    """Classifies each pixel as a part of a face."""

    def __init__(self, path: str | Path):
        """Open BiSeNet's weights; ValueError for any other file."""
        super().__init__()
        self.network = BiSeNet()
        tensors = read_tensors(path)
        try:
            self.network.load_state_dict(tensors)
        except RuntimeError as error:
            raise ValueError(
                f"{path} is not BiSeNet with {CLASSES} classes, as in 79999_iter.pth of 53 MB: "
                f"{len(tensors)} tensors, 191 expected with their names and shapes"
            ) from error
        self.eval()

    @torch.no_grad()
    def classes(self, images: Tensor) -> Tensor:
        """Pictures [N, H, W, 3] in 0..1 -> the class 0..18 of each pixel, [N, H, W].

        A picture with values that are not finite is all background; the log names it.
        """
        images, groups = finite_pictures(images)
        found = torch.zeros(images.shape[:3], dtype=torch.long)
        for chosen in groups:
            pictures = images[chosen].movedim(-1, 1).float().cpu()
            sized = interpolate(pictures, (SIDE, SIDE), mode="bilinear")
            mean, deviation = (torch.tensor(v).reshape(3, 1, 1) for v in (MEAN, DEVIATION))
            scores = self.network((sized - mean) / deviation)
            whole = interpolate(scores, (SIDE, SIDE), mode="bilinear", align_corners=True)
            classes = whole.argmax(1, keepdim=True).float()
            sized = interpolate(classes, images.shape[1:3], mode="nearest-exact")
            found[chosen] = sized[:, 0].long()
        return found

    def person(self, images: Tensor) -> Tensor:
        """Pictures [N, H, W, 3] -> 1 where anything of a person is, else 0, [N, H, W]."""
        return (self.classes(images) != BACKGROUND).float()

    def face(self, images: Tensor) -> Tensor:
        """Pictures [N, H, W, 3] -> 1 on the face without ears, hair and neck, else 0, [N, H, W]."""
        return torch.isin(self.classes(images), torch.tensor(FACE)).float()


class BiSeNet(nn.Module):
    """Pictures [N, 3, H, W], normalised -> scores [N, 19, H/8, W/8]."""

    def __init__(self) -> None:
        super().__init__()
        self.cp = ContextPath()
        self.ffm = FeatureFusion(256)
        self.conv_out = Classifier(256, 256)
        self.conv_out16 = Classifier(128, 64)  # both are for training only
        self.conv_out32 = Classifier(128, 64)

    def forward(self, pictures: Tensor) -> Tensor:
        detail, context = self.cp(pictures)
        return self.conv_out(self.ffm(torch.cat([detail, context], 1)))


class ContextPath(nn.Module):
    """Context of each pixel: coarse features, refined and upsampled to 1/8 of the size."""

    def __init__(self) -> None:
        super().__init__()
        self.resnet = ResNet18()
        self.arm16, self.arm32 = AttentionRefinement(256), AttentionRefinement(512)
        self.conv_head32, self.conv_head16 = ConvBlock(128, 128), ConvBlock(128, 128)
        self.conv_avg = ConvBlock(512, 128, kernel=1)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        eighth, sixteenth, last = self.resnet(pictures)
        coarse = self.arm32(last) + self.conv_avg(last.mean((2, 3), keepdim=True))
        coarse = self.conv_head32(interpolate(coarse, sixteenth.shape[2:]))
        fine = self.arm16(sixteenth) + coarse
        return eighth, self.conv_head16(interpolate(fine, eighth.shape[2:]))


class ResNet18(nn.Module):
    """Features of 128, 256 and 512 channels at 1/8, 1/16 and 1/32 of the size."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = nn.Sequential(BasicBlock(64, 64, 1), BasicBlock(64, 64, 1))
        self.layer2 = nn.Sequential(BasicBlock(64, 128, 2), BasicBlock(128, 128, 1))
        self.layer3 = nn.Sequential(BasicBlock(128, 256, 2), BasicBlock(256, 256, 1))
        self.layer4 = nn.Sequential(BasicBlock(256, 512, 2), BasicBlock(512, 512, 1))

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        quarter = self.layer1(self.maxpool(relu(self.bn1(self.conv1(pictures)))))
        eighth = self.layer2(quarter)
        sixteenth = self.layer3(eighth)
        return eighth, sixteenth, self.layer4(sixteenth)


class BasicBlock(nn.Module):
    """Two convolutions and a shortcut."""

    def __init__(self, inner: int, outer: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inner, outer, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(outer, outer, 3, 1, 1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(outer), nn.BatchNorm2d(outer)
        self.downsample = nn.Sequential()
        if inner != outer:
            change = nn.Conv2d(inner, outer, 1, stride, bias=False)
            self.downsample = nn.Sequential(change, nn.BatchNorm2d(outer))

    def forward(self, x: Tensor) -> Tensor:
        inside = self.bn2(self.conv2(relu(self.bn1(self.conv1(x)))))
        return relu(self.downsample(x) + inside)


class AttentionRefinement(nn.Module):
    """Features weighted by channel, from their mean over the picture."""

    def __init__(self, inner: int, outer: int = 128) -> None:
        super().__init__()
        self.conv = ConvBlock(inner, outer)
        self.conv_atten = nn.Conv2d(outer, outer, 1, bias=False)
        self.bn_atten = nn.BatchNorm2d(outer)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return x * self.bn_atten(self.conv_atten(x.mean((2, 3), keepdim=True))).sigmoid()


class FeatureFusion(nn.Module):
    """Detail and context combined, then weighted by channel."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convblk = ConvBlock(width, width, kernel=1)
        self.conv1 = nn.Conv2d(width, width // 4, 1, bias=False)
        self.conv2 = nn.Conv2d(width // 4, width, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.convblk(x)
        return x + x * self.conv2(relu(self.conv1(x.mean((2, 3), keepdim=True)))).sigmoid()


class ConvBlock(nn.Module):
    """Convolution, normalisation, ReLU; the size stays."""

    def __init__(self, inner: int, outer: int, kernel: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inner, outer, kernel, padding=kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(outer)

    def forward(self, x: Tensor) -> Tensor:
        return relu(self.bn(self.conv(x)))


class Classifier(nn.Module):
    """Scores of the classes."""

    def __init__(self, inner: int, middle: int) -> None:
        super().__init__()
        self.conv = ConvBlock(inner, middle)
        self.conv_out = nn.Conv2d(middle, CLASSES, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv_out(self.conv(x))
