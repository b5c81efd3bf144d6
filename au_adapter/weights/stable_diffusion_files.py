"""Checkpoints of Stable Diffusion 1.5 and 2.1 in one file, as their publishers and ComfyUI have
them: which is it, and what are its networks made of. Known by shapes, never by the file's name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from .tensors import read_shapes

UNET = "model.diffusion_model."
TEXT_KEYS = f"{UNET}input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
FIRST = f"{UNET}input_blocks.0.0.weight"
FAMILIES = {768: "sd15", 1024: "sd21"}  # by the width of the text
# The bias of this norm is spread wider where a 2.1 predicts velocity (768 px) than where it
# predicts noise (the base model): nothing else in the file tells them apart.
TELLING = f"{UNET}output_blocks.11.1.transformer_blocks.0.norm1.bias"
VELOCITY = 0.09


def find_family(path: str | Path) -> str:
    """ "sd15" or "sd21". ValueError, naming what was found, for any other file."""
    shapes = read_shapes(path)
    keys, first = shapes.get(TEXT_KEYS), shapes.get(FIRST)
    width = keys[-1] if keys else None
    if width not in FAMILIES:
        found = f"its text is {width} wide" if width else f"it has no {TEXT_KEYS}"
        raise ValueError(
            f"{path} is no checkpoint of Stable Diffusion 1.5 or 2.1 ({found}): choose one, with "
            "UNet, text encoder and VAE in one file"
        )
    if first is None or first[1] != 4:
        raise ValueError(
            f"{path} takes {first[1] if first else 'an unknown number of'} channels, not the 4 of "
            "a text-to-image model: inpainting and editing models cannot be trained here"
        )
    return FAMILIES[width]


def read_configs(family: str) -> dict[str, Any]:
    """The configs of a family's networks, scheduler and tokenizer, in the words of diffusers and
    transformers."""
    path = Path(__file__).with_suffix(".json")
    return json.loads(path.read_text(encoding="utf-8"))[family]


def predicts_velocity(tensors: Mapping[str, Tensor]) -> bool:
    """Whether a checkpoint of 2.1 predicts velocity rather than noise."""
    bias = tensors.get(TELLING)
    return bias is not None and float(bias.float().std()) > VELOCITY
