"""A Stable Diffusion XL with random weights: its layout in small, 64 pixels a side."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    EulerDiscreteScheduler,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from tiny_demo import WORDS
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
)

from au_adapter.training.tokenizer import END, START, write_tokenizer

WIDTHS = (32, 64)  # of the two text encoders; cross-attention reads both side by side
UNET = {
    "sample_size": 8,
    "layers_per_block": 1,
    "block_out_channels": (32, 64, 64),
    "norm_num_groups": 32,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1, 2, 10),  # as published
    "attention_head_dim": (1, 2, 2),
    "cross_attention_dim": sum(WIDTHS),
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": WIDTHS[1] + 6 * 256,
}


def tiny_sdxl_unet() -> UNet2DConditionModel:
    """SDXL's levels and depths with few channels."""
    torch.manual_seed(7)
    return UNet2DConditionModel(**UNET).eval()


def write_sdxl(folder: Path) -> Path:
    """Write the folder that `StableDiffusionXLPipeline.from_pretrained` reads."""
    torch.manual_seed(13)
    write_tokenizer(WORDS, folder / "words")
    tokenizer = CLIPTokenizer.from_pretrained(folder / "words")
    padded = CLIPTokenizer.from_pretrained(folder / "words", pad_token="!")
    StableDiffusionXLPipeline(
        vae=AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            block_out_channels=(8, 8, 8, 8),
            layers_per_block=1,
            norm_num_groups=4,
            latent_channels=4,
            sample_size=64,
            scaling_factor=0.13025,
        ),
        text_encoder=CLIPTextModel(_text(tokenizer, WIDTHS[0], 2)).eval(),
        text_encoder_2=CLIPTextModelWithProjection(_text(tokenizer, WIDTHS[1], 3)).eval(),
        tokenizer=tokenizer,
        tokenizer_2=padded,
        unet=tiny_sdxl_unet(),
        scheduler=EulerDiscreteScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1
        ),
    ).save_pretrained(folder)
    return folder


def _text(tokenizer: CLIPTokenizer, width: int, layers: int) -> CLIPTextConfig:
    start, end = tokenizer.convert_tokens_to_ids([START, END])
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=64,
        num_hidden_layers=layers,
        num_attention_heads=2,
        projection_dim=width,
        bos_token_id=start,
        eos_token_id=end,
        pad_token_id=end,
    )
