"""Asks again, a little more or less, until the reading agrees with what was wanted.

A calibration knows the average face; the loop corrects the one at hand, at the price of drawing it
again. Every picture has its own request, so a batch converges together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..estimators import Estimator, read_set
from ..estimators.reading import Reading, ReadingSet
from ..facs import AUVector

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
    an AU that the estimator does not read, and for sides that differ.
    """
    _refuse_sides(wanted, start or wanted)
    _check(estimator.name, estimator.units, wanted)
    asked = wanted.values != 0
    request = (start or wanted).select(wanted.units)
    best = None
    for number in range(1, rounds + 1):
        now = _read(draw(request), estimator, wanted, request, asked, tolerance, number)
        best = now if best is None else _better(best, now)
        if best.agrees.all():
            break
        request = _step(request, wanted, now.measured, gain, strongest)
    return best


def correct(
    request: AUVector,
    wanted: AUVector,
    seen: ReadingSet,
    gain: float = 0.7,
    strongest: float = STRONGEST,
) -> AUVector:
    """One step of the loop: what to ask for after `request` drew the pictures that `seen` reads.

    request, wanted: one face, or one for each picture; only AUs wanted other than 0 are moved,
    within 0..strongest, all others are asked for as 0; a picture without a face keeps its request.
    ValueError for an AU that the estimator does not read, for another number of pictures, and for
    sides that differ.
    """
    _refuse_sides(request, wanted)
    request, wanted = (_for_each(vector, seen.pictures) for vector in (request, wanted))
    units = tuple(dict.fromkeys((*request.units, *wanted.units)))
    request, wanted = request.select(units, strict=False), wanted.select(units, strict=False)
    faces = seen.surest()
    read = next((face.aus.units for face in faces if face), units)
    _check(seen.estimator, read, wanted)
    return _step(request, wanted, _measured(faces, units), gain, strongest)


def _refuse_sides(*vectors: AUVector) -> None:
    if any(not torch.equal(*vector.sides()) for vector in vectors):
        raise ValueError("left and right are read, and corrected, as one: ask for both sides alike")


def _step(
    request: AUVector, wanted: AUVector, measured: Tensor, gain: float, strongest: float
) -> AUVector:
    """The request moved by gain x (wanted - measured), AUs that nobody asked for as wanted."""
    moved = request.values + gain * (wanted.values - measured).nan_to_num(0.0)
    asked = wanted.values != 0
    return AUVector(wanted.units, torch.where(asked, moved.clamp(0, strongest), wanted.values))


def _for_each(vector: AUVector, pictures: int) -> AUVector:
    if len(vector) not in (1, pictures):
        raise ValueError(
            f"{len(vector)} AU vectors for {pictures} pictures: give one, or one for each picture"
        )
    return AUVector(vector.units, vector.values.expand(pictures, -1))


def _check(name: str, units: Sequence[int], wanted: AUVector) -> None:
    named = [u for i, u in enumerate(wanted.units) if wanted.values[:, i].any()]
    if unread := [f"AU{unit}" for unit in named if unit not in units]:
        raise ValueError(
            f"{name} does not read {', '.join(unread)}: take these AUs out of the "
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
    measured = _measured(read_set(estimator, images).surest(), wanted.units)
    off = (measured - wanted.values) * asked
    off = torch.where(asked, off, torch.zeros_like(off))
    error = (off.square().sum(1) / asked.sum(1).clamp(min=1)).sqrt()
    error = error.nan_to_num(torch.inf)
    agrees = (off.abs() <= tolerance).all(1)
    return Reached(images, request, measured, error, agrees, number)


def _measured(faces: Sequence[Reading | None], units: Sequence[int]) -> Tensor:
    """The readings [N, K], NaN where no face was found."""
    measured = torch.full((len(faces), len(units)), torch.nan)
    for row, face in zip(measured, faces, strict=True):
        if face:
            row.copy_(face.aus.select(units, strict=False).values[0])
    return measured


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
