"""Weights in 8 bits: whole numbers from -127 to 127, and a scale for each row of a matrix.

    small = to_eight_bits(tensors)          # what a file keeps, a quarter of single precision
    tensors = from_eight_bits(small)        # half precision again, off by at most 0.6 percent of
                                            # the largest weight of a row

Biases and other vectors stay as they are, in half precision.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import torch
from torch import Tensor

SCALE = ".scale"  # behind a weight's name: its scales
MOST = 127
V = TypeVar("V")


def to_eight_bits(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors as a file keeps them: those of two dimensions or more as int8 beside scales."""
    kept: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if tensor.ndim < 2 or not tensor.is_floating_point():
            kept[name] = tensor.half() if tensor.is_floating_point() else tensor
            continue
        rows = tensor.float().flatten(1)
        scales = (rows.abs().amax(1) / MOST).clamp(min=1e-7).half().float()
        numbers = (rows / scales[:, None]).round().clamp(-MOST, MOST)
        kept[name] = numbers.to(torch.int8).reshape(tensor.shape)
        kept[name + SCALE] = scales.half()
    return kept


def without_scales(kept: Mapping[str, V]) -> dict[str, V]:
    """What is kept of weights, by name, less the scales that stand beside them."""
    return {
        name: value
        for name, value in kept.items()
        if not (name.endswith(SCALE) and name.removesuffix(SCALE) in kept)
    }


def from_eight_bits(kept: dict[str, Tensor]) -> dict[str, Tensor]:
    """What `to_eight_bits` was given, in half precision; tensors without scales as they are.

    Also of the first rows of each tensor alone. ValueError for numbers of 8 bits without scales.
    """
    whole = {}
    for name, tensor in without_scales(kept).items():
        scales = kept.get(name + SCALE)
        if scales is not None:
            shape = (-1, *[1] * (tensor.ndim - 1))
            tensor = (tensor.float() * scales.float().reshape(shape)).half()
        elif tensor.dtype == torch.int8:
            raise ValueError(f"{name} is in 8 bits and its scales, {name + SCALE}, are missing")
        whole[name] = tensor
    return whole
