"""How far measured Action Units are from those asked for.

Two papers report an "AU MSE", and the two cannot be compared:

- FineFace makes a face from text and an AU vector and scores the AUs asked for on the absolute
  scale 0..5. It says "AUs" without saying which; over all 12, a face that answers nothing would get
  0.9 on single AUs, while the paper's methods get 4.7 to 7.5. So only the prompted AUs count
  (nothing answered: 11.0). Its table: 4.71 single, 7.54 combined.
- MagicFace changes the AUs of a photo. The target is what the photo showed plus the change, all 12
  AUs count, and most of them are asked to stay. Its table: 0.261.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from scipy import stats
from torch import Tensor

from . import checks


def au_mse(requested: Tensor, measured: Tensor, prompted: Tensor | None = None) -> float:
    """Mean squared error of intensities, in units squared, 0..25 on a scale 0..5. Lower is better.

        mean over pictures of  1/|P| sum_{k in P} (requested_k - measured_k)^2

    requested, measured: [N, K]. prompted: bool [N, K], the AUs P that each picture asks for, at
    least one each; without it all K count, those not asked for being asked for at 0. FineFace Eq. 3
    is the form with `prompted`: it is the error of one picture, divided by the number of its AUs,
    and its tables are means over pictures. So every picture weighs the same, however many AUs it
    asks for. Errors pooled over all AUs of all pictures would be another number.
    """
    requested, measured = checks.pair("au_mse", requested, measured, "N K")
    square = (requested - measured) ** 2
    if prompted is None:
        return square.mean().item()
    if prompted.shape != square.shape or not prompted.bool().any(1).all():
        raise ValueError(
            f"prompted must be {list(square.shape)} with an AU in every row; found "
            f"{list(prompted.shape)}. Leave out pictures that ask for no AU"
        )
    weight = prompted.to(square)
    return ((square * weight).sum(1) / weight.sum(1)).mean().item()


def change_target(source: Tensor, change: Tensor, low: float = 0.0, high: float = 5.0) -> Tensor:
    """Intensities [N, K] that an edit should show: source + change, kept within low..high.

    MagicFace section IV-A; whether it keeps targets on the scale is not stated. An estimator that
    ends at 5 cannot see beyond, so they are clamped here; low=-inf, high=inf leave them alone.
    """
    source, change = checks.pair("change_target", source, change, "N K")
    return (source + change).clamp(low, high)


def au_mse_change(
    source: Tensor, change: Tensor, edited: Tensor, low: float = 0.0, high: float = 5.0
) -> float:
    """Mean squared error of an edit, in units squared, over all AUs. Lower is better.

        mean over n, k of  (change_target(source, change)_nk - edited_nk)^2

    source, edited: [N, K] as measured on the photo and on its edit; change: [N, K] as asked for.
    MagicFace section IV-A.
    """
    return au_mse(change_target(source, change, low, high), edited)


def icc_3_1(ratings: Tensor) -> float:
    """Intraclass correlation ICC(3,1) of k columns of ratings of N things; 1 is full agreement.

        (BMS - EMS) / (BMS + (k - 1) EMS),  from -1 / (k - 1) to 1

    BMS, EMS: mean squares between rows, and of what rows and columns leave over. It is consistency:
    a constant offset of a column costs nothing, another slope does (x with 2x: 0.8). For one AU the
    columns are target and estimate (AUEditNet, section 4.2). NaN where nothing varies. Needs N >= 2
    and k >= 2. Shrout & Fleiss 1979.
    """
    ratings, _ = checks.pair("icc_3_1", ratings, ratings, "N k")
    rows, columns = ratings.shape
    if rows < 2 or columns < 2:
        raise ValueError(f"icc_3_1 needs two rows and two columns, found {rows} x {columns}")
    between = ratings.mean(1, keepdim=True) - ratings.mean()
    rest = ratings - ratings.mean() - between - (ratings.mean(0) - ratings.mean())
    bms = columns * between.square().sum().item() / (rows - 1)
    ems = rest.square().sum().item() / ((rows - 1) * (columns - 1))
    if bms + (columns - 1) * ems < 1e-12 * max(1.0, ratings.abs().max().item() ** 2):
        return math.nan
    return (bms - ems) / (bms + (columns - 1) * ems)


@dataclass(frozen=True)
class Linearity:
    """How straight a slider works: see `linearity`."""

    spearman: float
    r2: float
    slope: float
    intercept: float


def linearity(requested: Tensor, measured: Tensor) -> Linearity:
    """How straight measured intensity follows the slider, both [N] with two or more requests.

    spearman: rank correlation, -1..1, whether it rises at all steps. r2: 0..1, the share of the
    variance that the least-squares line  measured = slope * requested + intercept  explains; 1 with
    a slope of 1 is the aim. A face that never moves: spearman 0, r2 0, slope 0.
    """
    requested, measured = checks.pair("linearity", requested, measured, "N")
    if requested.unique().numel() < 2:
        raise ValueError("linearity needs two or more different requests, found one")
    if measured.unique().numel() < 2:
        return Linearity(0.0, 0.0, 0.0, measured[0].item())
    line = stats.linregress(requested, measured)
    rank = stats.spearmanr(requested, measured).statistic
    return Linearity(float(rank), line.rvalue**2, float(line.slope), float(line.intercept))


@dataclass(frozen=True)
class UnitScore:
    """One row of a per-AU table. unit: AU number, "L12" for a side, or None for the mean over AUs.
    count: pictures. bias: mean of measured - target. mse in intensity units squared, mae and bias
    in units."""

    unit: int | str | None
    count: int
    mse: float
    mae: float
    bias: float
    icc: float
    spearman: float
    r2: float


def per_unit(target: Tensor, measured: Tensor, units: Sequence[int | str]) -> list[UnitScore]:
    """The table of AUEditNet (MSE and ICC(3,1) for each AU), with error, bias and linearity.

    target, measured: [N, K]; units: the K AU numbers, or "L12" for a side. ICC and linearity are
    NaN where the target does not vary or there is one picture only: there is nothing to agree with.
    """
    target, measured = checks.pair("per_unit", target, measured, "N K")
    if len(units) != target.shape[1]:
        raise ValueError(f"per_unit got {target.shape[1]} columns and {len(units)} AU numbers")
    scores = []
    for unit, wanted, seen in zip(units, target.T, measured.T, strict=True):
        difference, icc, spearman, r2 = seen - wanted, *(math.nan,) * 3
        if wanted.unique().numel() > 1:
            line = linearity(wanted, seen)
            icc, spearman, r2 = icc_3_1(torch.stack([wanted, seen], 1)), line.spearman, line.r2
        errors = (difference.square(), difference.abs(), difference)
        means = (error.mean().item() for error in errors)
        scores.append(UnitScore(unit, len(wanted), *means, icc, spearman, r2))
    return scores


def mean_score(scores: Sequence[UnitScore]) -> UnitScore:
    """The mean over AUs, each weighing the same; a column leaves out the AUs where it is NaN."""
    names = [field.name for field in fields(UnitScore) if field.name not in ("unit", "count")]
    values = [[getattr(score, name) for name in names] for score in scores]
    means = torch.tensor(values, dtype=torch.float64).nanmean(0).tolist()
    return UnitScore(None, max(score.count for score in scores), *means)
