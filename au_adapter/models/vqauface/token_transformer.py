"""VQ-AUFace's MaskGitTransformer: predicts the codes of a picture that are masked."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from .token_attention import TokenBlock, sinusoidal


def mask_ratio(progress: Tensor | float) -> Tensor | float:
    """gamma(u) = cos(pi u / 2), the share of tokens that is masked at u in 0..1: MaskGIT (Chang et
    al. 2022), section 3.3, whose transformer VQ-AUFace takes (section 4.2.3)."""
    cosine = torch.cos if isinstance(progress, Tensor) else math.cos
    return cosine(progress * (math.pi / 2))


def masked_loss(logits: Tensor, codes: Tensor) -> Tensor:
    """Cross-entropy at the masked places alone, MaskGIT Eq. 2. logits [M, codes], codes [M]."""
    return cross_entropy(logits.float(), codes)


def draw_mask(order: Tensor, progress: Tensor) -> Tensor:
    """Which of L tokens are masked, bool [N, L]: the share `mask_ratio(progress [N])`, at least
    one, with the least `order` [N, L]."""
    count = (mask_ratio(progress) * order.shape[1]).ceil().clamp(min=1)
    return order.argsort(1).argsort(1) < count[:, None]


class CodeEmbedding(nn.Module):
    """Codes [N, cells, depth] <-> tokens [N, cells depth / group, width].

    group: codes of a cell that one token stands for: 1, as in the paper, or up to depth, which
    makes the sequence, and with it the work, so many times shorter. Ours.
    """

    def __init__(self, codes: int, depth: int, side: int, width: int, code_width: int, group: int):
        super().__init__()
        self.masked, self.depth, self.group = codes, depth, group
        self.table = nn.Embedding(codes + 1, code_width)  # the last stands for a masked code
        self.levels = nn.Parameter(torch.randn(depth, code_width) * 0.02)
        self.into = nn.Linear(group * code_width, width)
        self.out = nn.Linear(width, group * code_width)
        self.norm = nn.LayerNorm(code_width)
        self.bias = nn.Parameter(torch.zeros(depth, codes))
        nn.init.normal_(self.table.weight, std=code_width**-0.5)
        line = sinusoidal(side, width // 2)
        rows, columns = line[:, None].expand(-1, side, -1), line[None].expand(side, -1, -1)
        self.places = nn.Parameter(torch.cat([rows, columns], -1).flatten(0, 1))

    def forward(self, ids: Tensor) -> Tensor:
        """The tokens of codes, of which some may be `masked`."""
        codes = self.table(ids) + self.levels
        tokens = self.into(codes.reshape(len(ids), -1, self.into.in_features))
        return tokens + self.places.repeat_interleave(self.depth // self.group, 0)

    def logits(self, tokens: Tensor, where: Tensor) -> Tensor:
        """How likely each code is, [M, codes], at the M places [N, cells, depth] that `where`
        names: only these are computed, as all of 2,048 x 65,536 would fit no memory."""
        guessed = self.out(tokens).reshape(*where.shape, -1)
        level = where.nonzero()[:, 2]
        found = self.norm(guessed[where] + self.levels[level])
        return found @ self.table.weight[: self.masked].T + self.bias[level]


class TokenTransformer(nn.Module):
    """Layers of self-attention and of cross-attention to the context.

    aligned: whether references lie in the target's pose, so that many of the target's codes are
    those of the reference at the same place: it is told them there, and may keep them. Ours.
    """

    def __init__(
        self, embedding: CodeEmbedding, width: int, layers: int, heads: int, aligned: bool = False
    ):
        super().__init__()
        self.embedding = embedding
        self.blocks = nn.ModuleList(TokenBlock(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        if aligned:
            self.beside = nn.Linear(width, width)
            self.keep = nn.Linear(width, embedding.group)

    def forward(
        self,
        ids: Tensor,
        where: Tensor,
        context: Tensor,
        present: Tensor,
        reference: Tensor | None = None,
    ) -> Tensor:
        """Logits [M, codes] at the M places `where` [N, cells, depth] of codes `ids`, of which the
        masked ones are `embedding.masked`. context [N, T, width]; present bool [N, T]; reference:
        the codes of the reference [N, cells, depth], if aligned."""
        tokens = self.embedding(ids)
        if reference is not None:
            tokens = tokens + self.beside(self.embedding(reference))
        for block in self.blocks:
            tokens = block(tokens, context, present)
        tokens = self.norm(tokens)
        logits = self.embedding.logits(tokens, where)
        if reference is None:
            return logits
        kept = self.keep(tokens).reshape(where.shape)[where].to(logits)
        return logits.scatter_add(1, reference[where][:, None], kept[:, None])
