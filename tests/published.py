"""State dicts with exactly the keys and shapes of FineFace's published files, for both families.

The keys come from diffusers' own UNet of each family, not from the code under test.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor

RANK = 32
Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Published:
    """A family as published: text width, outputs of the encoder's Linear, prefix of its files."""

    width: int
    outputs: int
    prefix: str
    heads: tuple[int, ...] | int
    linear: bool
    lora: bool


SD21 = Published(1024, 64, "", (5, 10, 20, 20), linear=True, lora=True)
SD15 = Published(768, 756, "sd15_", 8, linear=False, lora=False)


@cache
def full_unet(family: Published) -> UNet2DConditionModel:
    """The whole UNet without memory for its weights."""
    with torch.device("meta"):
        return UNet2DConditionModel(
            cross_attention_dim=family.width,
            attention_head_dim=family.heads,
            use_linear_projection=family.linear,
        )


def projections(family: Published, fill: object = torch.zeros) -> Tensors:
    """What attn_processors.ckpt holds. `fill(*shape)` makes the numbers."""
    return {
        f"{path}.processor.au_to_{kind}.weight": fill(module.to_v.out_features, family.width)
        for path, module in full_unet(family).named_modules()
        if path.endswith("attn2")
        for kind in "kv"
    }


def encoder(family: Published, fill: object = torch.zeros) -> Tensors:
    """What au_encoder.ckpt holds."""
    return {
        "au_encoder.weight": fill(family.outputs, 12),
        "au_encoder.bias": fill(family.outputs),
    }


def lora(family: Published, fill: object = torch.zeros) -> Tensors:
    """What pytorch_lora_weights.safetensors holds."""
    named = {}
    for path, module in full_unet(family).named_modules():
        if path.endswith((".to_q", ".to_k", ".to_v", ".to_out.0")) and ".attn" in path:
            named[f"unet.{path}.lora_A.weight"] = fill(RANK, module.in_features)
            named[f"unet.{path}.lora_B.weight"] = fill(module.out_features, RANK)
    return named


def light(*shape: int) -> Tensor:
    """Zeros in half precision: a pickle that repeats one number would be refused."""
    return torch.zeros(shape, dtype=torch.float16)


def write_published(folder: Path, family: Published, fill: object = light) -> Path:
    """The family's files under their published names; returns the attention processors' path."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(encoder(family, fill), folder / f"{family.prefix}au_encoder.ckpt")
    if family.lora:
        small = {name: t.contiguous() for name, t in lora(family, fill).items()}
        save_file(small, folder / "pytorch_lora_weights.safetensors")
    path = folder / f"{family.prefix}attn_processors.ckpt"
    torch.save(projections(family, fill), path)
    return path


class Trap:
    """What unpickles as a call that leaves a trace."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.trace),)
