"""The adapter's LoRA as ComfyUI weight patches."""

from __future__ import annotations

import torch

from au_adapter.models.adapter import AUAdapter

from .compat import ModelPatcher, load_lora
from .sd_unet import SDUNet


def add_lora(model: ModelPatcher, unet: SDUNet, adapter: AUAdapter, strength: float) -> None:
    """Patch the weights of `model`, a clone of the caller's; strength 1 is the LoRA as trained."""
    config, names, tensors = adapter.config, {}, {}
    for path, (down, up) in adapter.lora.items():
        weight = "diffusion_model." + unet.weights[f"{path}.weight"]
        module = weight.removesuffix(".weight")
        names[module] = weight
        tensors[f"{module}.lora_A.weight"], tensors[f"{module}.lora_B.weight"] = down, up
        tensors[f"{module}.alpha"] = torch.tensor(config.lora_scale * config.lora_rank)
    applied = model.add_patches(load_lora(tensors, names), strength)
    if len(applied) != len(names):
        raise ValueError(
            f"{len(names) - len(applied)} of the {len(names)} weights that the "
            "LoRA changes were not found in the MODEL; load the adapter with LoRA strength 0."
        )
