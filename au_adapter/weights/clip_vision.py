"""CLIP's image encoder from a transformers folder, for MagicFace's CLIP identity."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..disk import damage_named

KINDS = ("clip", "clip_vision_model")  # model types that have an image encoder


@dataclass(frozen=True)
class ImageEncoder:
    """CLIP's image encoder (transformers' CLIPVisionModel), frozen, and its preparation."""

    name: str
    network: nn.Module
    processor: Any

    @property
    def width(self) -> int:
        return self.network.config.hidden_size

    @torch.no_grad()
    def tokens(self, images: Tensor) -> Tensor:
        """Last-layer tokens [N, 1 + patches, width] of pictures [N, H, W, 3] in 0..1.

        The central square is resized to the encoder's input, mostly 224 pixels.
        """
        pictures = images.movedim(-1, 1)
        seen = self.processor(pictures, do_rescale=False, return_tensors="pt").pixel_values
        return self.network(seen.to(self.network.device)).last_hidden_state


def load_image_encoder(folder: str | Path) -> ImageEncoder:
    """The image encoder of a CLIP, whole or alone, in float32 on the CPU.

    FileNotFoundError when the folder lacks a file of it, ValueError when it holds another model.
    """
    # Of the training extra.
    from huggingface_hub.errors import StrictDataclassError
    from transformers import CLIPImageProcessor, CLIPVisionModel

    folder = Path(folder)
    for name in ("config.json", "preprocessor_config.json"):
        if not (folder / name).is_file():
            raise FileNotFoundError(
                f"no {name} in {folder}: give a folder of CLIP as transformers saves it, with "
                "config.json, model.safetensors and preprocessor_config.json"
            )
    with damage_named(folder / "config.json"):
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        kind = config.get("model_type")
    if kind not in KINDS:
        raise ValueError(
            f"{folder} holds a model of type {kind!r} without CLIP's image encoder: give a folder "
            f"of type {' or '.join(KINDS)}"
        )
    with damage_named(folder, also=(StrictDataclassError,)):
        network, found = CLIPVisionModel.from_pretrained(
            folder, local_files_only=True, output_loading_info=True, dtype=torch.float32
        )
    if missing := found["missing_keys"]:
        raise ValueError(
            f"{folder} lacks {len(missing)} weights of CLIP's image encoder, such as "
            f"{min(missing)}: copy it again"
        )
    with damage_named(folder):
        processor = CLIPImageProcessor.from_pretrained(folder, local_files_only=True)
    network.eval().requires_grad_(False)
    return ImageEncoder(folder.resolve().name, network, processor)
