"""The codec's discriminator, which tells pictures from their reconstructions patch by patch."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import relu


class PatchDiscriminator(nn.Module):
    """Pictures [N, 3, H, W] in -1..1 -> how real each patch looks, [N, 1, h, w] (VQGAN's, Esser et
    al. 2021). Group norm, as its answer for one picture must not depend on the others."""

    def __init__(self, width: int = 64, layers: int = 3):
        super().__init__()
        widths = [width * min(2**n, 8) for n in range(layers + 1)]
        parts: list[nn.Module] = [nn.Conv2d(3, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        for number, (source, target) in enumerate(zip(widths, widths[1:], strict=False)):
            stride = 2 if number < layers - 1 else 1
            parts += [
                nn.Conv2d(source, target, 4, stride=stride, padding=1, bias=False),
                nn.GroupNorm(8, target),
                nn.LeakyReLU(0.2),
            ]
        self.layers = nn.Sequential(*parts, nn.Conv2d(widths[-1], 1, 4, padding=1))

    def forward(self, pictures: Tensor) -> Tensor:
        return self.layers(pictures)


def generator_loss(judged: Tensor) -> Tensor:
    """L_G = -E[D(x_hat)], VQ-AUFace Eq. 3. judged: D's answers to reconstructions."""
    return -judged.mean()


def discriminator_loss(real: Tensor, made: Tensor) -> Tensor:
    """L_D = E[max(0, 1 - D(x))] + E[max(0, 1 + D(x_hat))], VQ-AUFace Eq. 4."""
    return relu(1 - real).mean() + relu(1 + made).mean()
