"""Checks of the metrics' inputs; each failure is one sentence."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

import torch
from torch import Tensor


def pair(metric: str, first: Tensor, second: Tensor, axes: str) -> tuple[Tensor, Tensor]:
    """Both as float64 tensors of one shape with the given axes, such as "N K"; else ValueError.

    NaN and infinity are refused: what was not measured is to be left out and counted by the caller.
    """
    first, second = (torch.as_tensor(side).double() for side in (first, second))
    if first.shape != second.shape or first.dim() != len(axes.split()) or not first.numel():
        raise ValueError(
            f"{metric} compares two tensors of one shape [{', '.join(axes.split())}], "
            f"not empty; found {list(first.shape)} and {list(second.shape)}"
        )
    for side in (first, second):
        finite(metric, side)
    return first, second


def finite(metric: str, values: Tensor) -> None:
    """ValueError naming the first rows that hold NaN or infinity."""
    bad = (~torch.isfinite(values)).reshape(len(values), -1).any(1).nonzero().flatten().tolist()
    if bad:
        rows = ", ".join(map(str, bad[:5])) + (", ..." if len(bad) > 5 else "")
        raise ValueError(
            f"{metric} found NaN or infinity in {len(bad)} of {len(values)} rows ({rows}): "
            "leave out what could not be measured, and report how many"
        )


def pictures(metric: str, images: Tensor) -> Tensor:
    """Pictures float [N, H, W, 3] in 0..1, as given; else ValueError."""
    finite(metric, layout(metric, images))
    return images


def layout(metric: str, images: Tensor) -> Tensor:
    """Pictures float [N, H, W, 3], in 0..1 where they are finite, as given; else ValueError."""
    if images.dim() != 4 or images.shape[-1] != 3 or not images.numel():
        raise ValueError(
            f"{metric} takes pictures [N, H, W, 3], not empty; found {list(images.shape)}"
        )
    known = images.nan_to_num(0.0, 0.0, 0.0)
    if not images.is_floating_point() or known.min() < -1e-3 or known.max() > 1.001:
        raise ValueError(
            f"{metric} takes pictures as floats from 0 to 1; found {images.dtype} from "
            f"{known.min().item():.4g} to {known.max().item():.4g}"
        )
    return images


def mask(metric: str, values: Tensor, images: Tensor) -> Tensor:
    """Masks of pictures [N, H, W, 3], as float64 [N, H, W] in 0..1; else ValueError."""
    if values.shape != images.shape[:3]:
        raise ValueError(
            f"{metric} needs a mask {list(images.shape[:3])} for pictures {list(images.shape)}, "
            f"found {list(values.shape)}"
        )
    values = values.double()
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError(
            f"{metric} takes masks from 0 to 1, found {values.min():.4g} to {values.max():.4g}"
        )
    return values


def optional(metric: str, package: str) -> ModuleType:
    """The named package of the extra `eval`; RuntimeError with the one line that installs it."""
    try:
        return import_module(package)
    except ModuleNotFoundError as error:
        name = (error.name or package).partition(".")[0]
        raise RuntimeError(
            f'{metric} needs the package {name}. Install it with: pip install "au-adapter[eval]"'
        ) from error
