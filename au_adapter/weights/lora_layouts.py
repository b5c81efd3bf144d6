"""The names that programs give to a LoRA's tensors: diffusers', peft's and kohya's.

    diffusers   unet.<path>.lora_A.weight, .lora.down.weight, _lora.down.weight, or .processor.<...>
    peft        base_model.model.<path>.lora_A.weight, .lora_A.default.weight
    kohya       lora_unet_<path with _ for .>.lora_down.weight

with <path> as in diffusers' UNet: mid_block.attentions.0.transformer_blocks.0.attn1.to_q. Each may
have an alpha beside it; peft keeps it in adapter_config.json.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from pathlib import Path

from torch import Tensor

from ..disk import read_json

_DOTTED = re.compile(
    r"(?:base_model\.model\.|unet\.)*(?P<attention>.+\.attn[12])\.(?:processor\.)?"
    r"(?P<target>to_q|to_k|to_v|to_out)(?:\.0)?"
    r"(?:[._]lora[._](?P<side>A|B|down|up)(?:\.\w+)?\.weight|(?:[._]lora)?\.(?P<alpha>alpha))"
)
_KOHYA = re.compile(
    r"lora_unet_(?P<attention>\w+_attn[12])_(?P<target>to_q|to_k|to_v|to_out)(?:_0)?"
    r"\.(?:lora_(?P<side>down|up)\.weight|(?P<alpha>alpha))"
)
_SIDES = {"A": "A", "down": "A", "B": "B", "up": "B", None: "alpha"}
_NUMBER = re.compile(r"_(\d+)_")  # between dots in diffusers' paths


def read_lora_name(name: str) -> tuple[str, str] | None:
    """The module's path and "A" [rank, in], "B" [out, rank] or "alpha", of a LoRA's tensor in an
    attention of a UNet; None for other tensors."""
    found = _DOTTED.fullmatch(name) or _KOHYA.fullmatch(name)
    if found is None:
        return None
    attention = found["attention"]
    if name.startswith("lora_unet_"):
        attention = _NUMBER.sub(r".\1.", attention).replace("mid_block_", "mid_block.")
    target = found["target"] + (".0" if found["target"] == "to_out" else "")
    return f"{attention}.{target}", _SIDES[found["side"]]


def reads_text(name: str) -> bool:
    """Whether it is the A of a LoRA on the text's keys or values: its inputs are the text width."""
    path, side = read_lora_name(name) or ("", "")
    return path.endswith(("attn2.to_k", "attn2.to_v")) and side == "A"


def unknown_lora(names: Iterable[str]) -> str:
    """The first name that speaks of a LoRA in no layout known here; empty without one."""
    return next((n for n in sorted(names) if "lora" in n.lower() and not read_lora_name(n)), "")


def take_lora(
    tensors: dict[str, Tensor], path: str | Path
) -> tuple[dict[str, Tensor], float | None]:
    """Move the LoRA out of `tensors`, under diffusers' names; also its alpha, or None.

    ValueError for several alphas, and for a module that has two LoRAs.
    """
    lora: dict[str, Tensor] = {}
    alphas = set()
    for name in list(tensors):
        module, side = read_lora_name(name) or ("", "")
        if not module:
            continue
        tensor, ours = tensors.pop(name), f"unet.{module}.lora_{side}.weight"
        if side == "alpha":
            alphas.add(float(tensor))
        elif ours in lora:
            raise ValueError(f"{path} has two LoRAs of {module}: keep one")
        else:
            lora[ours] = tensor
    if len(alphas) > 1:
        raise ValueError(f"{path}: its LoRA has several alphas, {sorted(alphas)}; one is expected")
    return lora, alphas.pop() if alphas else None


def peft_alpha(file: Path) -> float | None:
    """The alpha in the adapter_config.json that peft writes beside its file; None without one.

    ValueError for settings that differ between layers, and for no numbers.
    """
    config = file.with_name("adapter_config.json")
    if not (file.name.startswith("adapter_model.") and config.is_file()):
        return None
    described = read_json(config)
    try:
        alpha, rank = float(described["lora_alpha"]), int(described["r"])
        apart = described.get("alpha_pattern") or described.get("rank_pattern")
        rank_stabilized = bool(described.get("use_rslora"))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{config} is not peft's: it has no numbers lora_alpha and r") from error
    if apart:
        raise ValueError(f"{config} has alphas or ranks of its own for some layers: {apart}")
    return alpha * math.sqrt(rank) if rank_stabilized else alpha
