"""The moving average of a module's weights, which is used in place of the last ones."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn


class MovingAverage(nn.Module):
    """A copy of a module whose trainable weights and buffers are averages over the steps; frozen
    weights are the module's own, which may be a whole Stable Diffusion.

    decay: 0..1. It grows to this as (1 + n) / (10 + n) over the first n updates: without that, a
    short run's average is mostly the weights of its first step.
    """

    def __init__(self, module: nn.Module, decay: float):
        super().__init__()
        frozen = {id(p): p for p in module.parameters() if not p.requires_grad}
        self.module, self.decay = deepcopy(module, frozen), decay
        self.register_buffer("n_averaged", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Take in the module's present weights; the first time, take them over."""
        count = int(self.n_averaged)
        share = 1 - min(self.decay, (1 + count) / (10 + count)) if count else 1.0
        pairs = zip(_learnt(self.module), _learnt(module), strict=True)
        for average, weight in pairs:
            if share < 1 and average.is_floating_point():
                average.lerp_(weight.to(average), share)
            else:
                average.copy_(weight)
        self.n_averaged += 1


def _learnt(module: nn.Module) -> list[Tensor]:
    return [*(p for p in module.parameters() if p.requires_grad), *module.buffers()]
