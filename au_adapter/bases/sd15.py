"""Stable Diffusion 1.5, and others of its shape such as 1.4 and their fine-tunes."""

from __future__ import annotations

from .checkpoint_layout import CLIP_L, VAE, CheckpointLayout, TextLayout
from .stable_diffusion import StableDiffusionFamily

UNET = {
    "sample_size": 64,
    "block_out_channels": [320, 640, 1280, 1280],
    "cross_attention_dim": 768,
    "attention_head_dim": 8,
}
# The paper's numbers are the recipe's own; these say how they fit a GPU.
MAGICFACE = {"mixed_precision": "bf16", "gradient_checkpointing": True, "save_every": 500}


class StableDiffusion15(StableDiffusionFamily):
    """FineFace's adapter for it lifts the AUs to the whole width of the text."""

    name, title = "sd15", "Stable Diffusion 1.5"
    text_width = 768
    au_encoder = "res_mlp"
    magicface = True
    recipe_defaults = {**StableDiffusionFamily.recipe_defaults, "magicface": MAGICFACE}
    layout = CheckpointLayout(
        UNET, {"text_encoder": TextLayout("cond_stage_model.transformer.", CLIP_L)}, VAE
    )


SD15 = StableDiffusion15()
