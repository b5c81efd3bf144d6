"""How a checkpoint in one file keeps its networks, as their publishers and ComfyUI have it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# What the families of Stable Diffusion share, in the words of diffusers and transformers.
VAE = {
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "block_out_channels": [128, 256, 512, 512],
    "layers_per_block": 2,
    "latent_channels": 4,
    "sample_size": 512,
    "scaling_factor": 0.18215,
}
CLIP_L = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "hidden_act": "quick_gelu",
    "projection_dim": 768,
}


@dataclass(frozen=True)
class TextLayout:
    """A text encoder in a checkpoint.

    prefix: of its weights. pad_token: what its text was padded with in training. open_clip:
    whether the weights have OpenCLIP's names. kind: its class in transformers.
    """

    prefix: str
    config: Mapping[str, Any]
    pad_token: str = "<|endoftext|>"
    open_clip: bool = False
    kind: str = "CLIPTextModel"


@dataclass(frozen=True)
class CheckpointLayout:
    """The configs of a checkpoint's networks. texts: by their names in the pipeline."""

    unet: Mapping[str, Any]
    texts: Mapping[str, TextLayout]
    vae: Mapping[str, Any]
