"""Stable Diffusion 2.1, and others of its shape such as 2.0 and their fine-tunes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from .checkpoint_layout import VAE, CheckpointLayout, TextLayout
from .stable_diffusion import UNET as PREFIX
from .stable_diffusion import StableDiffusionFamily

UNET = {
    "sample_size": 64,
    "block_out_channels": [320, 640, 1280, 1280],
    "cross_attention_dim": 1024,
    "attention_head_dim": [5, 10, 20, 20],
    "use_linear_projection": True,
}
TEXT = {  # OpenCLIP's ViT-H without its last layer
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 23,
    "num_attention_heads": 16,
    "hidden_act": "gelu",
    "projection_dim": 512,
}
# The bias of this norm is spread wider where a 2.1 predicts velocity (768 px) than where it
# predicts noise (the base model): nothing else in the file tells them apart.
TELLING = f"{PREFIX}output_blocks.11.1.transformer_blocks.0.norm1.bias"
VELOCITY = 0.09


class StableDiffusion21(StableDiffusionFamily):
    """FineFace's adapter for it has 64 outputs beside the AUs, then zeros."""

    name, title = "sd21", "Stable Diffusion 2.1"
    text_width = 1024
    text_layout = TextLayout("cond_stage_model.model.", TEXT, "!", open_clip=True)
    layout = CheckpointLayout(UNET, {"text_encoder": text_layout}, VAE)

    def read_schedule(self, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
        bias = tensors.get(TELLING)
        velocity = bias is not None and float(bias.float().std()) > VELOCITY
        return {"prediction_type": "v_prediction" if velocity else "epsilon"}


SD21 = StableDiffusion21()
