"""Vectors as sums of codes, once the codes are learnt.

Training learns them with vector-quantize-pytorch (`training.recipes.vqauface_codec_recipe`).
Drawing needs only the look-up below, so that ComfyUI needs no package more.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ResidualCodes(nn.Module):
    """`depth` passes through one codebook [codes, width]: each names the code nearest to what the
    passes before it left over (RQ-VAE, Lee et al. 2022, Eq. 2 and 3)."""

    def __init__(self, codes: int, width: int, depth: int):
        super().__init__()
        self.depth = depth
        self.register_buffer("codebook", torch.zeros(codes, width))

    def ids(self, vectors: Tensor) -> Tensor:
        """The codes int64 [N, L, depth] of vectors [N, L, width]."""
        rest, found = vectors, []
        for _ in range(self.depth):
            nearest = torch.cdist(rest.flatten(0, 1), self.codebook).argmin(-1)
            found.append(nearest.reshape(rest.shape[:2]))
            rest = rest - self.codebook[found[-1]]
        return torch.stack(found, -1)

    def vectors(self, ids: Tensor) -> Tensor:
        """The vectors [N, L, width] that codes [N, L, depth] add up to."""
        return self.codebook[ids].sum(-2)
