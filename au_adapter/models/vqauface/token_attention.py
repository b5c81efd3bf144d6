"""Attention between sequences of tokens, the part that stage II of VQ-AUFace is made of."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention


class TokenAttention(nn.Module):
    """Tokens [N, L, width] ask others [N, M, source]; the answer is [N, L, width]."""

    def __init__(self, width: int, heads: int, source: int | None = None):
        super().__init__()
        self.heads = heads
        self.to_query = nn.Linear(width, width, bias=False)
        self.to_key_value = nn.Linear(source or width, 2 * width, bias=False)
        self.to_out = nn.Linear(width, width)

    def forward(self, tokens: Tensor, others: Tensor, present: Tensor | None = None) -> Tensor:
        """present: bool [N, M], which of the others there are; at least one in each row."""
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in (self.to_query(tokens), *self.to_key_value(others).chunk(2, -1))
        )
        mask = None if present is None else present[:, None, None]
        seen = scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return self.to_out(seen.transpose(1, 2).flatten(2))


class TokenBlock(nn.Module):
    """A layer of the transformer: tokens look at each other, at the context, and are transformed,
    each step normed before and added."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.among = TokenAttention(width, heads)
        self.context = TokenAttention(width, heads)
        self.feed = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, tokens: Tensor, context: Tensor, present: Tensor) -> Tensor:
        """tokens [N, L, width]; context [N, M, width], of which those `present` [N, M] count."""
        first, second, third = self.norms
        seen = first(tokens)
        tokens = tokens + self.among(seen, seen)
        tokens = tokens + self.context(second(tokens), context, present)
        return tokens + self.feed(third(tokens))


def sinusoidal(count: int, width: int) -> Tensor:
    """Positions 0..count - 1 as sines and cosines [count, width] (Vaswani et al. 2017)."""
    rates = 10_000 ** (-torch.arange(0, width, 2) / width)
    angles = torch.arange(count)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(1)[:, :width]
