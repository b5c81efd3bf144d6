"""Tells real pictures from drawn ones, patch by patch (Isola et al. 2017), for an adversarial
loss."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class PatchCritic(nn.Module):
    """Pictures [N, 3, H, W] in -1..1 -> how real each patch looks, [N, 1, H/8, W/8]."""

    def __init__(self, width: int = 32):
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for after in (width, 2 * width, 4 * width):
            layers += [nn.Conv2d(before, after, 4, 2, 1), nn.LeakyReLU(0.2)]
            before = after
        self.layers = nn.Sequential(*layers, nn.Conv2d(before, 1, 3, 1, 1))

    def forward(self, pictures: Tensor) -> Tensor:
        return self.layers(pictures)


def critic_loss(critic: PatchCritic, real: Tensor, drawn: Tensor) -> Tensor:
    """The hinge loss of the critic (Lim and Ye 2017); nothing flows back to what drew."""
    genuine, fake = critic(real), critic(drawn.detach())
    return (functional.relu(1 - genuine) + functional.relu(1 + fake)).mean()


def deceiving_loss(critic: PatchCritic, drawn: Tensor) -> Tensor:
    """How little the critic is deceived; nothing flows back to the critic."""
    fixed = {name: p.detach() for name, p in critic.named_parameters()}
    return -torch.func.functional_call(critic, fixed, (drawn,)).mean()


def adversarial_loss(critic: PatchCritic, real: Tensor, drawn: Tensor, weight: float) -> Tensor:
    """Both losses in one step, that of what drew with a weight: each reaches its own network."""
    return weight * deceiving_loss(critic, drawn) + critic_loss(critic, real, drawn)
