"""Asks again, a little more or less, until the reading agrees with what was wanted.

A calibration knows the average face; the loop corrects the one at hand, at the price of drawing it
again. Every picture has its own request, so a batch converges together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..facs import AUVector
from .estimators import Estimator, read_set

Draw = Callable[[AUVector], Tensor]
STRONGEST = 8.0  # a request beyond this smears faces


@dataclass(frozen=True)
class Reached:
    """Where the loop ended. N pictures, K units of the wanted vector.

    images: [N, H, W, 3], the best of each. request: what drew them. measured: [N, K], NaN where no
    face was found. error: [N], the root mean square difference over the AUs asked for, infinite
    without a face. agrees: bool [N], whether each of these AUs is within the tolerance. rounds:
    how often it drew.
    """

    images: Tensor
    request: AUVector
    measured: Tensor
    error: Tensor
    agrees: Tensor
    rounds: int

    def sentence(self) -> str:
        """What it reached, for people."""
        found = self.error[self.error.isfinite()]
        mean = f"{found.mean():.2f} intensities off" if len(found) else "no face found"
        return (
            f"{int(self.agrees.sum())} of {len(self.agrees)} pictures agree after {self.rounds} "
            f"rounds; on average {mean}"
        )


def closed_loop(
    draw: Draw,
    estimator: Estimator,
    wanted: AUVector,
    *,
    start: AUVector | None = None,
    rounds: int = 4,
    tolerance: float = 0.5,
    gain: float = 0.7,
    strongest: float = STRONGEST,
) -> Reached:
    """Draw, read, and move each request by gain x (wanted - measured), at most `rounds` times.

    draw: AU vector of N faces -> pictures [N, H, W, 3]; the same vector must give the same
    pictures. wanted: N faces; only AUs other than 0 are moved, within 0..strongest. start: the
    first request, by default `wanted`. Stops as soon as every AU of every picture is within
    `tolerance`. Each picture keeps its best round, so that no round makes it worse. ValueError for
    an AU that the estimator does not read.
    """
    _check(estimator, wanted)
    asked = wanted.values != 0
    request = (start or wanted).select(wanted.units)
    best = None
    for number in range(1, rounds + 1):
        now = _read(draw(request), estimator, wanted, request, asked, tolerance, number)
        best = now if best is None else _better(best, now)
        if best.agrees.all():
            break
        step = gain * (wanted.values - now.measured).nan_to_num(0.0) * asked
        request = AUVector(wanted.units, (request.values + step).clamp(0, strongest))
        request = AUVector(wanted.units, torch.where(asked, request.values, wanted.values))
    return best


def _check(estimator: Estimator, wanted: AUVector) -> None:
    named = [u for i, u in enumerate(wanted.units) if wanted.values[:, i].any()]
    if unread := [f"AU{unit}" for unit in named if unit not in estimator.units]:
        raise ValueError(
            f"{estimator.name} does not read {', '.join(unread)}: take these AUs out of the "
            "request, or use an estimator that reads them"
        )


def _read(
    images: Tensor,
    estimator: Estimator,
    wanted: AUVector,
    request: AUVector,
    asked: Tensor,
    tolerance: float,
    number: int,
) -> Reached:
    faces = read_set(estimator, images).surest()
    nothing = torch.full((len(wanted.units),), torch.nan)
    measured = torch.stack(
        [f.aus.select(wanted.units, strict=False).values[0] if f else nothing for f in faces]
    )
    off = (measured - wanted.values) * asked
    off = torch.where(asked, off, torch.zeros_like(off))
    error = (off.square().sum(1) / asked.sum(1).clamp(min=1)).sqrt()
    error = error.nan_to_num(torch.inf)
    agrees = (off.abs() <= tolerance).all(1)
    return Reached(images, request, measured, error, agrees, number)


def _better(best: Reached, now: Reached) -> Reached:
    """Of each picture the round that came nearer."""
    won = now.error < best.error

    def pick(new: Tensor, old: Tensor) -> Tensor:
        return torch.where(won.reshape(-1, *[1] * (new.dim() - 1)), new, old)

    request = AUVector(now.request.units, pick(now.request.values, best.request.values))
    return Reached(
        pick(now.images, best.images),
        request,
        pick(now.measured, best.measured),
        pick(now.error, best.error),
        pick(now.agrees, best.agrees),
        now.rounds,
    )
