"""AAAD of pictures that were asked for in text: what they show against what their texts say.

VQ-AUFace reads texts with a trained classifier (F1 0.731) and pictures with ME-GraphAU. Texts of
our own need no classifier: they say each AU in the steps A..E and read back exactly, so what a text
says is what was asked for, rounded to its steps. Pictures are read by any estimator.
"""

from __future__ import annotations

from torch import Tensor

from ..metrics import AAAD, aaad

TEXT_READER = "texts by exact look-up"
MOST = 5.0  # the intensity that counts as certain


def activations(intensities: Tensor) -> Tensor:
    """Intensities 0..5 as the probabilities 0..1 that AAAD compares."""
    return (intensities / MOST).clamp(0, 1)


def said(asked: Tensor) -> Tensor:
    """What the AU texts of intensities [N, K] say, as activations: whole steps, as in `facs`."""
    return activations((asked.clamp(0, MOST) + 0.5).floor())


def text_agreement(shown: Tensor, asked: Tensor, truth: Tensor | None = None) -> AAAD:
    """AAAD of N >= 2 pictures that show the intensities [N, K] and were asked for others [N, K].

    truth: intensities [N, K] read in real pictures of the same texts, as in the paper; without
    them, a picture that shows exactly what its text says stands in their place. Two AAADs compare
    only if estimator, texts and kind of truth are the same.
    """
    texts = said(asked)
    return aaad(activations(shown), texts, texts if truth is None else activations(truth))


def agreement_scores(shown: Tensor, asked: Tensor) -> dict[str, tuple[float, int]]:
    """AAAD and its two baselines by the names of a report, each with the number of pictures [N, K]
    whose requests [N, K] name an AU, as the paper's all do; none unless two of them differ."""
    names_some = said(asked).any(1)
    shown, asked = shown[names_some], asked[names_some]
    if len(said(asked).unique(dim=0)) < 2:
        return {}
    found, count = text_agreement(shown, asked), len(asked)
    return {
        "aaad": (found.value, count),
        "aaad_shuffled": (found.shuffled, count),
        "aaad_constant": (found.constant, count),
    }
