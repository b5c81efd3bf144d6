"""Weights of BiSeNet that need no training."""

from __future__ import annotations

import torch
from torch import Tensor

from au_adapter.faces.parser import BiSeNet


@torch.no_grad()
def all_of_class(number: int) -> dict[str, Tensor]:
    """BiSeNet that takes every pixel of every picture for one class."""
    network = BiSeNet()
    last = network.conv_out
    last.conv.bn.weight.zero_()
    last.conv.bn.bias.fill_(1)
    last.conv_out.weight.zero_()
    last.conv_out.weight[number] = 1
    return network.state_dict()
