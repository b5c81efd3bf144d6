"""A ComfyUI CLIP from a small transformers text encoder with its own tokenizer."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .compat import (
    CLIP,
    ClipTarget,
    CLIPTextModel,
    SD1ClipModel,
    SD1Tokenizer,
    SDClipModel,
    SDTokenizer,
)

PREFIX = "text_model."  # in core's names, and in those of older transformers


class OwnVocabularyTextModel(CLIPTextModel):
    """Core's text model, which assumes CLIP's vocabulary, with a vocabulary of any size."""

    def __init__(
        self, config: dict[str, Any], dtype: torch.dtype, device: Any, operations: Any
    ) -> None:
        super().__init__(config, dtype, device, operations)
        self.set_input_embeddings(
            operations.Embedding(
                config["vocab_size"], config["hidden_size"], dtype=dtype, device=device
            )
        )


def build_clip(config: dict[str, Any], weights: dict[str, Tensor], tokenizer: Path) -> CLIP:
    """A CLIP, in float32, from a CLIPTextModel's config and state dict and a tokenizer's folder.

    Prompts are encoded to the last hidden state after the final norm, as diffusers does by default.
    """
    end = config["eos_token_id"]
    text = partial(
        SDClipModel,
        textmodel_json_config=config,
        model_class=OwnVocabularyTextModel,
        special_tokens={"start": config["bos_token_id"], "end": end, "pad": end},
        return_projected_pooled=False,
    )
    tokens = partial(
        SDTokenizer, tokenizer_path=str(tokenizer), embedding_size=config["hidden_size"]
    )
    target = ClipTarget(
        partial(SD1Tokenizer, tokenizer=tokens), partial(SD1ClipModel, clip_model=text)
    )
    size = sum(tensor.numel() for tensor in weights.values())
    named = {PREFIX + name.removeprefix(PREFIX): tensor for name, tensor in weights.items()}
    # The projection of the pooled state is unused, but must not be NaN.
    named["text_projection.weight"] = torch.eye(config["hidden_size"])
    return CLIP(target, parameters=size, state_dict=[named], model_options={"dtype": torch.float32})
