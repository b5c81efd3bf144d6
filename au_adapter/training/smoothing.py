"""Distribution smoothing of AU labels (FineFace, section 4.3): small noise, rounding at times.

Whatever is chosen, what trains is 0..5, as FineFace's supplement wants it: its released correction
of AffectNet strengthens some AUs beyond 5.
"""

from __future__ import annotations

import torch
from torch import Tensor

ROUNDING_PROBABILITY = 0.2


def smooth_as_released(values: Tensor, generator: torch.Generator) -> Tensor:
    """AU values [N, K]: noise of deviation 0.2, clipped to 0..5; a batch in five is all rounded."""
    noisy = (values + 0.2 * torch.randn(values.shape, generator=generator)).clamp(0, 5)
    rounded = torch.rand((), generator=generator) < ROUNDING_PROBABILITY
    return noisy.round() if rounded else noisy


def smooth_as_in_paper(values: Tensor, generator: torch.Generator) -> Tensor:
    """AU values [N, K]: noise of variance 0.2, clipped to 0..5; each rounded with chance 0.2."""
    noisy = (values + 0.2**0.5 * torch.randn(values.shape, generator=generator)).clamp(0, 5)
    rounded = torch.rand(values.shape, generator=generator) < ROUNDING_PROBABILITY
    return torch.where(rounded, noisy.round(), noisy)


def keep(values: Tensor, generator: torch.Generator) -> Tensor:
    """AU values [N, K] without smoothing (the ablation of FineFace's Table 3), clipped to 0..5."""
    return values.clamp(0, 5)


SMOOTHING = {"released": smooth_as_released, "paper": smooth_as_in_paper, "none": keep}
