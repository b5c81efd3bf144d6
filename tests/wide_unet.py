"""UNets as wide as Stable Diffusion 2.1's and 1.5's, with one block a level, and their adapters.

Channels 320, 640 and 1280, heads and text width are those of the published models, so that every
layer an AU-Adapter touches has its real shape; a whole UNet would need twice the memory.
"""

from __future__ import annotations

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from au_adapter import AUAdapter
from au_adapter.models.adapter import lora_shapes

POOL = 30_000_000  # more than the largest weight has
SD21 = {"cross_attention_dim": 1024, "attention_head_dim": (5, 10, 20)}
SD15 = {"cross_attention_dim": 768, "attention_head_dim": 8, "use_linear_projection": False}
ENCODERS = {1024: "res_mlp64", 768: "res_mlp"}  # as published


def wide_unet(shape: dict) -> UNet2DConditionModel:
    """420 million random numbers in ten blocks with cross-attention."""
    with torch.device("meta"):
        unet = UNet2DConditionModel(
            block_out_channels=(320, 640, 1280),
            layers_per_block=1,
            down_block_types=("CrossAttnDownBlock2D",) * 3,
            up_block_types=("CrossAttnUpBlock2D",) * 3,
            **{"use_linear_projection": True, **shape},
        )
    fill(unet.to_empty(device="cpu"))
    return unet.eval().requires_grad_(False)


def fill(network: nn.Module) -> None:
    """Random weights that keep the size of what passes through; out of one pool, to be quick."""
    pool = torch.randn(POOL, generator=torch.Generator().manual_seed(7))
    for number, (name, parameter) in enumerate(network.named_parameters()):
        count, norm = parameter.numel(), "norm" in name and name.endswith("weight")
        start = 9973 * number % (POOL - count)  # no two weights begin at the same place
        scale = 0.02 if parameter.dim() == 1 else parameter[0].numel() ** -0.5
        values = pool[start : start + count].view_as(parameter)
        parameter.data.copy_(values).mul_(scale).add_(float(norm))


def wide_adapter(unet: UNet2DConditionModel) -> AUAdapter:
    """FineFace's adapter for it: published encoder, LoRA of rank 32 at 8 / 32, all random."""
    torch.manual_seed(11)
    width = unet.config.cross_attention_dim
    adapter = AUAdapter.for_unet(unet, encoder=ENCODERS[width])
    adapter.lora = {
        path: (_random(down, down[1] ** -0.5), _random(up, 0.1))
        for path, (down, up) in sorted(lora_shapes(adapter.config).items())
    }
    return adapter.eval().requires_grad_(False)


def _random(shape: tuple[int, int], scale: float) -> Tensor:
    return scale * torch.randn(shape)
