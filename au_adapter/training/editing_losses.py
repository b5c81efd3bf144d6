"""The losses of AUEditNet's section 3.4 that compare pictures. Eq. 6 and Eq. 8 stand with their
networks, in `models.siamese` and `models.aueditnet`."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..models.ir_se import ArcFace
from ..models.siamese import VGG16Trunk, resized
from ..weights.tensors import read_tensors
from ..weights.wplus_files import Framing

# Of torchvision's ImageNet networks, for pictures in 0..1.
MEANS, DEVIATIONS = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# What ArcFace sees of a picture in FFHQ's framing, in shares of its side, as in e4e's training.
ROWS, COLUMNS = (35 / 256, 223 / 256), (32 / 256, 220 / 256)


def pixel_loss(drawn: Tensor, target: Tensor) -> Tensor:
    """L_R of Eq. 5: mean squared error of pixels in -1..1."""
    return functional.mse_loss(drawn, target)


class PerceptualLoss(nn.Module):
    """L_P of Eq. 5: mean squared error of features of VGG-16 (Johnson et al. 2016), brought to unit
    length at every place as LPIPS does (Zhang et al. 2018)."""

    def __init__(self, file: str):
        """file: torchvision's ImageNet weights of vgg16. ValueError for those of another."""
        super().__init__()
        self.trunk, found = VGG16Trunk(), read_tensors(file)
        names = self.trunk.state_dict().keys()
        if not names <= found.keys():
            raise ValueError(f"{file} does not hold torchvision's vgg16: give its own .pth")
        self.trunk.load_state_dict({name: found[name] for name in names})
        self.trunk.eval().requires_grad_(False)
        for name, values in (("means", MEANS), ("deviations", DEVIATIONS)):
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)

    def forward(self, drawn: Tensor, target: Tensor) -> Tensor:
        pairs = zip(self._stages(drawn), self._stages(target), strict=True)
        return torch.stack([functional.mse_loss(a, b) for a, b in pairs]).mean()

    def _stages(self, pictures: Tensor) -> list[Tensor]:
        seen = (pictures / 2 + 0.5 - self.means) / self.deviations
        return [functional.normalize(stage, dim=1) for stage in self.trunk(seen)]


def identity_loss(faces: tuple[Tensor, ...], target: Tensor) -> Tensor:
    """L_ID, Eq. 7: one minus the cosine of unit embeddings [N, E], summed over the drawn faces."""
    return sum((1 - (face * target).sum(1)).mean() for face in faces)


def arcface_view(pictures: Tensor, framing: Framing) -> Tensor:
    """Aligned pictures [N, 3, S, S] as ArcFace knows faces: in FFHQ's framing the middle of them,
    in another all."""
    if framing == Framing():
        side = pictures.shape[-1]
        rows, columns = ((round(a * side), round(b * side)) for a, b in (ROWS, COLUMNS))
        pictures = pictures[..., slice(*rows), slice(*columns)]
    return resized(pictures, ArcFace.side)
