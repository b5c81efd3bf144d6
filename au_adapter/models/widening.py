"""Extends an AU-Adapter to more AUs, or to left and right apart, for further training.

Before training, the wider adapter draws what the narrow one draws: a new AU has no effect, and
every position takes the mean of both sides until the keys learn to tell them apart.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from itertools import product

import torch
from torch import Tensor, nn

from .adapter import AUAdapter
from .encoders import SidedEncoder, build_encoder


def widen_adapter(adapter: AUAdapter, units: Sequence[int], sides: bool) -> AUAdapter:
    """`adapter` for these AUs, in this order; the adapter itself if they are its own.

    ValueError if it would lose AUs or sides, or has another encoder than res_mlp64 (arXiv
    2407.20175, Table 2, "Ours").
    """
    old, units = adapter.config, tuple(units)
    if (old.units, old.sides) == (units, sides):
        return adapter
    if not set(old.units) <= set(units) or old.sides > sides or old.encoder != "res_mlp64":
        raise ValueError(
            f"the adapter to go on from has the AUs {old.units}, {_apart(old.sides)} and the "
            f"encoder {old.encoder}; this run learns {units}, {_apart(sides)}: name at least those "
            "units and sides, and to go on with more start from a res_mlp64"
        )
    tokens = build_encoder(old.encoder, len(units), old.width, sides).tokens
    wide = AUAdapter(dataclasses.replace(old, units=units, sides=sides, tokens=tokens))
    wide.lora, wide.lora_strength = dict(adapter.lora), adapter.lora_strength
    # [old, new]: 1 where a new AU is an old one.
    places = torch.tensor([[float(unit == other) for other in units] for unit in old.units])
    with torch.no_grad():
        ours, theirs = _mlp(wide), _mlp(adapter)
        ours.weight.copy_(theirs.weight @ places)
        ours.bias.copy_(theirs.bias)
        for kind, path in product("kv", old.layers):
            weight = wide.projection(kind, path).weight
            weight.copy_(_moved(adapter.projection(kind, path).weight, places))
            if sides > old.sides:  # attend to both sides equally, and ignore their marks
                weight[:, slice(None) if kind == "k" else -1] = 0.0
    return wide


def _mlp(adapter: AUAdapter) -> nn.Linear:
    encoder = adapter.encoder
    return (encoder.one_side if isinstance(encoder, SidedEncoder) else encoder).mlp


def _moved(weight: Tensor, places: Tensor) -> Tensor:
    """A projection [C, width] for the wider token: raw values, outputs of the Linear, zeros, mark
    of the side. The columns of new raw values replace columns of zeros."""
    old, new = places.shape
    raw, behind, mark = weight.split([old, weight.shape[1] - old - 1, 1], dim=1)
    return torch.cat([raw @ places, behind[:, : weight.shape[1] - new - 1], mark], dim=1)


def _apart(sides: bool) -> str:
    return "sides apart" if sides else "no sides"
