"""A BLIP-2 with random weights, quick to make: the files of the real one, in a folder."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    Blip2Config,
    Blip2ForConditionalGeneration,
    Blip2Processor,
    BlipImageProcessor,
    PreTrainedTokenizerFast,
)

WORDS = ("<pad>", "<s>", "</s>", "<unk>", "<image>", "Question", ":", "Answer", "Is", "a", "man",
         "cartoon", "this", "?", "yes", "no", "young", "smiling")  # fmt: skip
QUERIES = 4


def write_blip2(folder: Path) -> Path:
    """Write model and processor into `folder`."""
    torch.manual_seed(3)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = Blip2Config(
        vision_config={**sizes, "intermediate_size": 32, "image_size": 32, "patch_size": 16},
        qformer_config={**sizes, "intermediate_size": 32, "encoder_hidden_size": 16,
                        "vocab_size": len(WORDS)},
        text_config={**sizes, "model_type": "opt", "ffn_dim": 32, "vocab_size": len(WORDS),
                     "word_embed_proj_dim": 16, "max_position_embeddings": 64,
                     "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2},
        num_query_tokens=QUERIES,
        image_token_index=WORDS.index("<image>"),
    )  # fmt: skip
    Blip2ForConditionalGeneration(config).save_pretrained(folder)
    processor = Blip2Processor(
        BlipImageProcessor(size={"height": 32, "width": 32}), _tokenizer(), QUERIES
    )
    processor.save_pretrained(folder)
    return folder


def _tokenizer() -> PreTrainedTokenizerFast:
    words = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=words,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        additional_special_tokens=["<image>"],
        padding_side="left",
    )
