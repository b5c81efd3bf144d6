"""A Stable Diffusion with random weights as a diffusers folder, quick to make, 64 pixels a side."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderKL, PNDMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from tiny_demo import WORDS
from tiny_unet import SD15, SD21
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from au_adapter.training.tokenizer import END, START, write_tokenizer

SHAPES = {"sd21": SD21, "sd15": SD15}


def write_stable_diffusion(
    folder: Path, shape: str = "sd21", prediction: str = "epsilon", groups: int = 8
) -> Path:
    """Write the folder that `StableDiffusionPipeline.from_pretrained` reads. groups: of the UNet's
    normalisation; Stable Diffusion has 32."""
    torch.manual_seed(13)
    write_tokenizer(WORDS, folder / "words")
    tokenizer = CLIPTokenizer.from_pretrained(folder / "words")
    width = SHAPES[shape]["cross_attention_dim"]
    StableDiffusionPipeline(
        vae=AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            block_out_channels=(8, 8, 8, 8),
            layers_per_block=1,
            norm_num_groups=4,
            latent_channels=4,
            sample_size=64,
        ),
        text_encoder=_text_encoder(tokenizer, width),
        tokenizer=tokenizer,
        unet=_unet(shape, groups),
        scheduler=PNDMScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            skip_prk_steps=True,
            steps_offset=1,
            prediction_type=prediction,
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)
    return folder


def _unet(shape: str, groups: int) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=8,
        layers_per_block=1,
        block_out_channels=(32, 64),
        norm_num_groups=groups,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        **SHAPES[shape],
    )


def _text_encoder(tokenizer: CLIPTokenizer, width: int) -> CLIPTextModel:
    start, end = tokenizer.convert_tokens_to_ids([START, END])
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=width,
            intermediate_size=64,
            num_hidden_layers=1,
            num_attention_heads=4,
            projection_dim=width,
            bos_token_id=start,
            eos_token_id=end,
            pad_token_id=end,
        )
    )
