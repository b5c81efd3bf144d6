"""Stand-ins for other packs' nodes, by their public contracts; none of their code.

IPAdapter_plus, InstantID and PuLID replace cross-attention block by block under the key (kind, id).
Where a replacement sits already, they call its `add` with one callback more and its arguments; a
replacement of theirs attends to the text and then adds what every callback returns.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from comfy.ldm.modules.attention import optimized_attention
from sampling import Scene
from torch import Tensor, nn

IMAGE_TOKENS = 4


class SumOfAttentions:
    """The replacement that such a pack puts on a block."""

    def __init__(self, callback: Callable, **arguments: Any) -> None:
        self.callbacks = [(callback, arguments)]

    def add(self, callback: Callable, **arguments: Any) -> None:
        self.callbacks.append((callback, arguments))

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, extra_options: dict) -> Tensor:
        out = optimized_attention(q, k, v, extra_options["n_heads"])
        for callback, arguments in self.callbacks:
            out = out + callback(out, q, k, v, extra_options, **arguments)
        return out


def image_attention(
    out: Tensor, q: Tensor, k: Tensor, v: Tensor, extra_options: dict, *,
    weight: float, to_k: nn.Module, to_v: nn.Module, tokens: Tensor,
) -> Tensor:  # fmt: skip
    """weight * Attn(Q, image); `tokens` [2, T, width] of the picture and of none."""
    sides = extra_options["cond_or_uncond"]
    rows = tokens[sides].repeat_interleave(len(q) // len(sides), dim=0)
    return weight * optimized_attention(q, to_k(rows), to_v(rows), extra_options["n_heads"])


@dataclass
class ImageAdapter:
    """An IP-Adapter with random weights for every cross-attention of a scene's model."""

    weight: float
    tokens: Tensor
    projections: dict[str, tuple[nn.Module, nn.Module]]

    @classmethod
    def random(cls, scene: Scene, seed: int, weight: float = 0.8) -> ImageAdapter:
        torch.manual_seed(seed)
        config = scene.adapter.config
        return cls(
            weight,
            torch.randn(2, IMAGE_TOKENS, config.width),
            {
                path: (nn.Linear(config.width, c, bias=False), nn.Linear(config.width, c))
                for path, c in config.layers.items()
            },
        )

    def arguments(self, path: str) -> dict[str, Any]:
        to_k, to_v = self.projections[path]
        return {"weight": self.weight, "to_k": to_k, "to_v": to_v, "tokens": self.tokens}

    def patch(self, model: Any, blocks: dict[str, tuple]) -> Any:
        """A clone of `model` with this adapter on every block; `blocks`: path -> ComfyUI's key."""
        model = model.clone()
        options = model.model_options["transformer_options"]
        replaces = dict(options.get("patches_replace", {}))
        found = dict(replaces.get("attn2", {}))
        for path, block in blocks.items():
            key, arguments = block[:2], self.arguments(path)
            if key in found:
                found[key].add(image_attention, **arguments)
            else:
                found[key] = SumOfAttentions(image_attention, **arguments)
        options["patches_replace"] = {**replaces, "attn2": found}
        return model
