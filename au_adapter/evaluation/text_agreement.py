"""AAAD of pictures whose AUs were asked for in text: what the pictures show against what is said.

The paper reads texts with a trained classifier (F1 0.731) and pictures with ME-GraphAU. Here texts
of our own are looked up, which is exact, and pictures are read by any estimator, by intensity.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..facs import AUVector, face_text
from ..metrics import AAAD, aaad

TEXT_READER = "exact look-up of our own texts"
MOST = 5.0  # the intensity that counts as certain


def activations(values: Tensor) -> Tensor:
    """Intensities 0..5 as the probabilities 0..1 that AAAD compares."""
    return (values / MOST).clamp(0, 1)


def said(aus: AUVector, units: Sequence[int], policy: str = "paper") -> Tensor:
    """What the AU texts of N faces say, as activations [N, K] of `units`: each text is written and
    read back, so that what a text rounds or leaves out is not counted against a picture."""
    faces = [AUVector.from_text(face_text(aus.face(n), policy).text) for n in range(len(aus))]
    return activations(torch.cat([face.select(units, strict=False).values for face in faces]))


def text_agreement(
    shown: Tensor, asked: AUVector, units: Sequence[int], truth: Tensor | None = None
) -> AAAD:
    """AAAD of N >= 2 pictures that show intensities [N, K] of `units` and were asked for N vectors.

    truth: intensities [N, K] read in real pictures of the same texts, as in the paper; without
    them a picture that shows exactly what its text says stands in their place. A difference between
    two AAADs means something only with one estimator, one set of texts and one kind of truth.
    """
    texts = said(asked, units)
    real = texts if truth is None else activations(truth)
    return aaad(activations(shown), texts, real)
