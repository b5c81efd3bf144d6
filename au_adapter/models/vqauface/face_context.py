"""What stage II of VQ-AUFace draws from: the AU text joined with the reference face.

U = cross-attention(text tokens X, structure tokens S)      section 4.2.2
context = concat(w1 U + w2 A, V)                             section 4.2.3
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .token_attention import TokenAttention


class AUCrossAttention(nn.Module):
    """U: each text token asks the patches of the reference where in the face it acts.

    The token itself is added, so that without S (the paper's ablation) U is X. The paper names
    cross-attention and no more.
    """

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.text_norm, self.patch_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = TokenAttention(width, heads)

    def forward(self, text: Tensor, structure: Tensor) -> Tensor:
        """text [N, T, width], structure [N, P, width] -> AU tokens [N, T, width]."""
        return text + self.attention(self.text_norm(text), self.patch_norm(structure))


class ContextFusion(nn.Module):
    """The weighted sum of U and A, joined with V; two learnt numbers are the weights."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.ones(2))

    def forward(
        self, au_tokens: Tensor, present: Tensor, appearance: Tensor | None, codes: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """au_tokens U [N, T, width], of which those `present` [N, T] count; appearance A [N, 1,
        width], added to each; codes V [N, L, width]. None leaves a part out. Returns the context
        [N, T + L, width] and which of it is there, bool [N, T + L]."""
        first, second = self.weights
        context = first * au_tokens
        if appearance is not None:
            context = context + second * appearance
        if codes is None:
            return context, present
        there = present.new_ones(codes.shape[:2])
        return torch.cat([context, codes], 1), torch.cat([present, there], 1)


class VectorTokens(nn.Module):
    """AU intensities through an MLP in the place of text tokens: the paper's control that asks
    whether text says more than labels. values [N, K], 0..5 -> [N, tokens, width]."""

    def __init__(self, units: int, tokens: int, width: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(units, 2 * width), nn.GELU(), nn.Linear(2 * width, tokens * width)
        )
        self.tokens = tokens

    def forward(self, values: Tensor) -> Tensor:
        return self.layers(values / 5).unflatten(1, (self.tokens, -1))
