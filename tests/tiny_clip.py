"""A CLIP with random weights as transformers saves it: whole, or the image encoder alone."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPTextConfig,
    CLIPVisionConfig,
    CLIPVisionModel,
)

WIDTH = 32  # numbers of a token
TOKENS = 5  # one for the picture, four patches
LAYERS = {
    "hidden_size": WIDTH,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}


def write_clip(folder: Path, whole: bool = False) -> Path:
    """Write a folder of CLIP for pictures of 32 pixels, the same weights every time."""
    torch.manual_seed(17)
    vision = CLIPVisionConfig(**LAYERS, image_size=32, patch_size=16, projection_dim=16)
    text = CLIPTextConfig(**LAYERS, vocab_size=10, bos_token_id=8, eos_token_id=9)
    both = CLIPConfig(text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=16)
    (CLIPModel(both) if whole else CLIPVisionModel(vision)).save_pretrained(folder)
    size = {"height": 32, "width": 32}
    CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=size).save_pretrained(folder)
    return folder
