"""Teaches the AU attention of an adapter with sides which side of the face a place is on.

The noise error alone says so too faintly: a small base's queries hardly tell left from right, and
after a thousand steps no place attended to its own side. Here every place is told, and the LoRA
brings what it needs to know into the queries. Beyond FineFace.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from ..models.adapter import AUAdapter, cross_attentions, split_heads

# Full from here on, in widths of the picture from its middle; the midline belongs to both sides.
APART = 0.2


class SideLoss:
    """Hears every cross-attention of a UNet in training, and says how far its places are from
    attending to their own side. Faces are taken to be in the middle, as rendered and cut ones are.
    """

    def __init__(self, unet: nn.Module, adapter: AUAdapter) -> None:
        self.adapter, self._heard = adapter, list[Tensor]()
        for path, attention in cross_attentions(unet).items():
            attention.register_forward_hook(partial(self._hear, path), with_kwargs=True)

    def begin(self) -> None:
        """Forget what was heard; gradient checkpointing runs the attentions again after the sum."""
        self._heard = []

    def mean(self) -> Tensor:
        """Over the attentions since the beginning, a cross-entropy: 0.69 knows nothing."""
        return torch.stack(self._heard).mean()

    def _hear(
        self, path: str, attention: nn.Module, args: tuple, kwargs: dict, output: Tensor
    ) -> None:
        tokens = kwargs.get("au_tokens")
        if tokens is None or not torch.is_grad_enabled():  # pictures are drawn, nothing is learnt
            return
        query = attention.to_q(args[0])
        key = self.adapter.projection("k", path)(tokens)
        logits = left_logits(query, key, attention.heads)
        self._heard.append(binary_cross_entropy_with_logits(logits, left_share(logits)))


def left_logits(query: Tensor, key: Tensor, heads: int) -> Tensor:
    """[N, heads, L]: log odds that a place of query [N, L, C] attends to the left among the tokens
    of key [N, T, C], the first half of which are the left's."""
    q, k = (split_heads(x, heads) for x in (query, key))
    left, right = (q @ k.mT / q.shape[-1] ** 0.5).chunk(2, dim=-1)
    return left.logsumexp(-1) - right.logsumexp(-1)


def left_share(logits: Tensor) -> Tensor:
    """What they should be, as shares 0..1 in the same shape, of a square picture row by row: the
    person's left is the picture's right."""
    side = round(logits.shape[-1] ** 0.5)
    x = (torch.arange(side, device=logits.device) + 0.5) / side - 0.5
    share = (0.5 + 0.5 * x / APART).clamp(0, 1)
    return share.repeat(side).expand_as(logits).to(logits)
