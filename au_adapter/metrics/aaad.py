"""AAAD, how well AUs seen in a picture agree with AUs said in its text, with its baselines."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from . import checks


@dataclass(frozen=True)
class AAAD:
    """AAAD and what to hold it against; see `aaad`.

    value: the paper's number. shuffled, constant: what real faces with other people's texts, and
    a reader that says 0.5 to everything, would get. similarity: the mean cosine, not normalised.
    lowest, highest: S_min and S_max. anchored: the same with means in place of the two extremes, so
    that 0 is shuffled and 1 is real pairs.
    """

    value: float
    shuffled: float
    constant: float
    similarity: float
    lowest: float
    highest: float
    anchored: float


def aaad(generated: Tensor, texts: Tensor, truth: Tensor, seed: int = 0) -> AAAD:
    """Alignment Accuracy of AU probability Distributions, about 0..1. Higher is better.

        (S_mean - S_min) / (S_max - S_min),  S(p, t) = p.t / (|p| |t|), 0 where one is all zero
        S_mean = mean S(generated_n, text_n)    S_max = max S(truth_n, text_n)
        S_min = min S(truth_n, text_pi(n)), pi a shuffle that leaves nothing in its place

    generated, texts, truth: activation probabilities [N, K] in 0..1, N >= 2: of the AUs seen in the
    generated pictures, said by their texts, and seen in the real faces that the texts belong to.
    VQ-AUFace, appendix F: K = 12 (1 2 4 6 7 10 12 14 15 17 23 24), ME-GraphAU and a classifier of
    T5 features. Not clipped; NaN where S_max = S_min. The two extremes are nearly 1 and 0 for any
    large set, which makes this about the mean cosine, and that is high for any vector near the
    average: on 2,000 simulated texts a reader that always says 0.5 got 0.65, and the paper's best
    is 0.61. So show the baselines beside it.
    """
    generated, texts = _probabilities(generated, texts)
    truth, texts = _probabilities(truth, texts)
    others = texts[_derangement(len(texts), seed)]
    real, mixed = cosine_similarity(truth, texts), cosine_similarity(truth, others)
    seen = cosine_similarity(generated, texts).mean().item()
    flat = cosine_similarity(torch.full_like(texts, 0.5), texts).mean().item()
    low, high = mixed.min().item(), real.max().item()
    return AAAD(
        value=_between(seen, low, high),
        shuffled=_between(mixed.mean().item(), low, high),
        constant=_between(flat, low, high),
        similarity=seen,
        lowest=low,
        highest=high,
        anchored=_between(seen, mixed.mean().item(), real.mean().item()),
    )


def _probabilities(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    pair = checks.pair("aaad", first, second, "N K")
    if len(pair[0]) < 2:
        raise ValueError("aaad needs two or more pairs to shuffle, found one")
    for side in pair:
        if side.min() < 0 or side.max() > 1:
            raise ValueError(
                f"aaad takes probabilities from 0 to 1, found {side.min():.4g} to "
                f"{side.max():.4g}; divide intensities 0..5 by 5"
            )
    return pair


def _derangement(count: int, seed: int) -> Tensor:
    """A permutation in which nothing keeps its place: a cycle through all, in a random order."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    shuffled = torch.empty_like(order)
    shuffled[order] = order.roll(1)
    return shuffled


def _between(value: float, low: float, high: float) -> float:
    return (value - low) / (high - low) if high - low > 1e-12 else math.nan
