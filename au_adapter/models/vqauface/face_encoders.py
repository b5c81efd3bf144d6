"""What stage II of VQ-AUFace hears and sees through: text, patches of the face, who it is.

The full model takes published networks (T5-large, CLIP ViT-L/14, a face recognition network), which
stay as they are and are no part of its file. The bundled one has small ones of the same kinds that
learn with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from .word_ids import PADDING, WordIds

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_DEVIATION = (0.26862954, 0.26130258, 0.27577711)

# Texts and the most tokens of one -> ids int64 [N, T], 0 where a text has ended.
Tokenize = Callable[[Sequence[str], int], Tensor]


class TextEncoder(nn.Module):
    """T5's encoder (transformers) and its tokenizer: the text tokens X, section 4.2.2."""

    def __init__(self, network: nn.Module, tokenize: Tokenize):
        super().__init__()
        self.network, self.tokenize = network, tokenize

    @property
    def width(self) -> int:
        return self.network.config.d_model

    def forward(self, ids: Tensor) -> Tensor:
        """Tokens [N, T, width] of ids [N, T]."""
        return self.network(input_ids=ids, attention_mask=(ids != PADDING)).last_hidden_state


class StructureEncoder(nn.Module):
    """CLIP's image encoder (transformers): the structure tokens S, section 4.2.1."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network
        for name, values in (("mean", CLIP_MEAN), ("deviation", CLIP_DEVIATION)):
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)

    @property
    def width(self) -> int:
        return self.network.config.hidden_size

    def forward(self, pictures: Tensor) -> Tensor:
        """Patch tokens [N, P, width] of pictures [N, 3, H, W] in -1..1."""
        size = self.network.config.image_size
        seen = pictures / 2 + 0.5
        if seen.shape[-2:] != (size, size):
            seen = interpolate(seen, (size, size), mode="bicubic", antialias=True)
        seen = (seen - self.mean) / self.deviation
        return self.network(pixel_values=seen).last_hidden_state[:, 1:]


class AppearanceEncoder(nn.Module):
    """A small network in the place of a face recognition network: the appearance token A."""

    def __init__(self, width: int):
        super().__init__()
        steps = [32, 64, 96, 128]
        self.width = width
        self.layers = nn.Sequential(
            nn.Conv2d(3, steps[0], 4, stride=4),
            *(
                layer
                for source, target in zip(steps, steps[1:], strict=False)
                for layer in (
                    nn.GroupNorm(8, source),
                    nn.SiLU(),
                    nn.Conv2d(source, target, 3, stride=2, padding=1),
                )
            ),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(steps[-1], width),
        )

    def forward(self, pictures: Tensor) -> Tensor:
        """Embeddings [N, width] of pictures [N, 3, H, W] in -1..1."""
        return self.layers(pictures)


class GivenAppearance(nn.Module):
    """A face recognition network of the user's. network: a function from pictures [N, H, W, 3] in
    0..1 to embeddings [N, width], which need no gradient."""

    def __init__(self, network: Callable[[Tensor], Tensor], width: int):
        super().__init__()
        self.seen, self.width = network, width

    def forward(self, pictures: Tensor) -> Tensor:
        with torch.no_grad():
            found = self.seen((pictures / 2 + 0.5).clamp(0, 1).movedim(1, -1))
        if found.ndim != 2 or found.shape[1] != self.width:
            raise ValueError(
                f"the face recognition network gives {list(found.shape)}, expected {self.width} "
                "numbers for each face: name the one that this model was trained with"
            )
        return found.to(pictures)


def own_text_encoder(words: Sequence[str], width: int, layers: int) -> TextEncoder:
    """A T5 encoder that has learnt nothing, over these words."""
    from transformers import T5Config, T5EncoderModel

    tokenize = WordIds(words)
    config = T5Config(
        vocab_size=len(tokenize),
        d_model=width,
        d_kv=width // 4,
        d_ff=2 * width,
        num_layers=layers,
        num_heads=4,
        dropout_rate=0.0,
        feed_forward_proj="gated-gelu",
        use_cache=False,
    )
    return TextEncoder(T5EncoderModel(config), tokenize)


def own_structure_encoder(size: int, patch: int, width: int, layers: int) -> StructureEncoder:
    """A CLIP image encoder that has learnt nothing."""
    from transformers import CLIPVisionConfig, CLIPVisionModel

    config = CLIPVisionConfig(
        image_size=size,
        patch_size=patch,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        num_attention_heads=4,
    )
    return StructureEncoder(CLIPVisionModel(config))


def described(network: Any) -> dict[str, Any]:
    """A transformers network in a few plain values: its kind, and the sizes that decide whether
    another one fits in its place."""
    config = network.config
    names = ("d_model", "hidden_size", "num_layers", "num_hidden_layers", "vocab_size",
             "image_size", "patch_size")  # fmt: skip
    sizes = {name: getattr(config, name) for name in names if hasattr(config, name)}
    return {"type": config.model_type, **sizes}
