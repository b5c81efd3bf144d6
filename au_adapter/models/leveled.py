"""Many small networks of one shape side by side, as one: for levels of W+, or for AUs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu


class LeveledLinear(nn.Module):
    """A linear layer of its own for each of J levels. [N, J, I] -> [N, J, O]."""

    def __init__(self, levels: int, inputs: int, outputs: int, deviation: float):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(levels, inputs, outputs) * deviation)
        self.bias = nn.Parameter(torch.zeros(levels, outputs))

    def forward(self, x: Tensor) -> Tensor:
        return torch.einsum("nji,jio->njo", x, self.weight) + self.bias


class LeveledMLP(nn.Module):
    """Linear layers of the given widths for each level, leaky activations between them.

    at_rest: deviation of what the last layer gives before anything is learned.
    """

    def __init__(self, levels: int, widths: Sequence[int], at_rest: float = 1.0):
        super().__init__()
        steps = list(zip(widths, widths[1:], strict=False))
        spread = [math.sqrt(2 / inputs) for inputs, _ in steps]
        spread[-1] = at_rest / math.sqrt(widths[-2])
        self.layers = nn.ModuleList(
            LeveledLinear(levels, *step, deviation=d) for step, d in zip(steps, spread, strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            x = leaky_relu(layer(x), 0.2)
        return self.layers[-1](x)
