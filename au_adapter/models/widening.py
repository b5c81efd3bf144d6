"""An AU-Adapter that goes on with more AUs than it knows, or with left and right apart.

The wider adapter draws what the narrow one draws wherever both are asked for the same: a new AU
does nothing yet, and of an AU whose sides come apart each side does half.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from itertools import product

import torch
from torch import Tensor

from .adapter import AUAdapter, AUAdapterConfig


def widened(adapter: AUAdapter, units: Sequence[int], sides: bool) -> AUAdapter:
    """`adapter` for these AUs, in this order; itself where they are its own.

    ValueError for AUs that it would lose, sides that it would lose, or an encoder other than
    res_mlp64 (arXiv 2407.20175, Table 2, "Ours").
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
    config = dataclasses.replace(old, units=units, sides=sides)
    wide = AUAdapter(config)
    wide.lora, wide.lora_strength = dict(adapter.lora), adapter.lora_strength
    spread = _spread(old, config)
    with torch.no_grad():
        wide.encoder.mlp.weight.copy_(adapter.encoder.mlp.weight @ spread)
        wide.encoder.mlp.bias.copy_(adapter.encoder.mlp.bias)
        for kind, path in product("kv", old.layers):
            narrow = adapter.projection(kind, path).weight
            wide.projection(kind, path).weight.copy_(_moved(narrow, spread))
    return wide


def _spread(old: AUAdapterConfig, new: AUAdapterConfig) -> Tensor:
    """[old inputs, new inputs]: the matrix from what the new encoder reads to what the old read."""
    spread = torch.zeros(old.inputs, new.inputs)
    for row, unit in enumerate(old.units * (2 if old.sides else 1)):
        column = new.units.index(unit)
        if old.sides == new.sides:
            spread[row, column + row // len(old.units) * len(new.units)] = 1.0
        else:
            spread[row, [column, column + len(new.units)]] = 0.5
    return spread


def _moved(weight: Tensor, spread: Tensor) -> Tensor:
    """A projection [C, width] that reads the wider token: raw values, the Linear's, zeros.

    What met the zeros gives way to the new raw values.
    """
    raw, behind = weight.split([len(spread), weight.shape[1] - len(spread)], dim=1)
    return torch.cat([raw @ spread, behind[:, : weight.shape[1] - spread.shape[1]]], dim=1)


def _apart(sides: bool) -> str:
    return "sides apart" if sides else "no sides"
