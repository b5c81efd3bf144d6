"""Tiny UNets shaped like Stable Diffusion 2.1 and 1.5, and an adapter with something to say."""

from __future__ import annotations

import torch
from diffusers import UNet2DConditionModel

from au_adapter.models.adapter import AUAdapter, lora_shapes

SD21 = {"use_linear_projection": True, "attention_head_dim": (2, 4), "cross_attention_dim": 128}
SD15 = {"use_linear_projection": False, "attention_head_dim": 4, "cross_attention_dim": 96}


def tiny_unet(shape: dict) -> UNet2DConditionModel:
    """Two levels with cross-attention in both; `attention_head_dim` counts heads, as in SD."""
    torch.manual_seed(7)
    unet = UNet2DConditionModel(
        sample_size=8,
        layers_per_block=1,
        block_out_channels=(64, 128),
        norm_num_groups=32,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        mid_block_type="UNetMidBlock2DCrossAttn",
        **shape,
    )
    return unet.eval()


def tiny_adapter(
    unet: UNet2DConditionModel, encoder: str = "res_mlp64", rank: int = 4, sides: bool = False
) -> AUAdapter:
    """An adapter whose AU term and LoRA both change the picture visibly."""
    torch.manual_seed(11)
    adapter = AUAdapter.for_unet(unet, encoder=encoder, lora_rank=rank, lora_alpha=2.0, sides=sides)
    if rank:
        adapter.lora = {
            path: tuple(0.3 * torch.randn(shape) for shape in shapes)
            for path, shapes in sorted(lora_shapes(adapter.config).items())
        }
    return adapter.eval()


def unet_inputs(unet: UNet2DConditionModel, batch: int = 2) -> tuple[torch.Tensor, ...]:
    """Latents [N, 4, 8, 8], timesteps [N] and text [N, 7, width], seeded."""
    generator = torch.Generator().manual_seed(3)
    latents = torch.randn(batch, 4, 8, 8, generator=generator)
    text = torch.randn(batch, 7, unet.config.cross_attention_dim, generator=generator)
    return latents, torch.full((batch,), 500), text
