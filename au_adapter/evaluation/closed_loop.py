"""Ask again, a little more or less, until the reading agrees with what was wanted.

A calibration knows the average face; the loop corrects this one, at the price of drawing it again.
Every picture has its own request, so a batch converges together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

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
    request = start or wanted
    _check(estimator.name, estimator.units, wanted, request)
    request, asked, best = request.select(wanted.units), wanted.values != 0, None
    for number in range(1, rounds + 1):
        images = draw(request)
        measured = _measured(read_set(estimator, images).surest(), wanted.units)
        off = torch.where(asked, measured - wanted.values, 0.0)
        error = (off.square().sum(1) / asked.sum(1).clamp(min=1)).sqrt().nan_to_num(torch.inf)
        agrees = (off.abs() <= tolerance).all(1)
        now = Reached(images, request, measured, error, agrees, number)
        best = now if best is None else _better(best, now)
        if best.agrees.all():
            break
        request = _step(request, wanted, measured, gain, strongest)
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
    units = tuple(dict.fromkeys((*request.units, *wanted.units)))
    faces = seen.surest()
    read = next((face.aus.units for face in faces if face), units)
    _check(seen.estimator, read, wanted, request)
    for vector in (request, wanted):
        if len(vector) not in (1, seen.pictures):
            raise ValueError(
                f"{len(vector)} AU vectors for {seen.pictures} pictures: give one, or one for each "
                "picture"
            )
    request, wanted = (
        AUVector(units, vector.select(units, strict=False).values.expand(seen.pictures, -1))
        for vector in (request, wanted)
    )
    return _step(request, wanted, _measured(faces, units), gain, strongest)


def _step(
    request: AUVector, wanted: AUVector, measured: Tensor, gain: float, strongest: float
) -> AUVector:
    """The request moved by gain x (wanted - measured), AUs that nobody asked for as wanted."""
    moved = request.values + gain * (wanted.values - measured).nan_to_num(0.0)
    asked = wanted.values != 0
    return AUVector(wanted.units, torch.where(asked, moved.clamp(0, strongest), wanted.values))


def _check(name: str, units: Sequence[int], wanted: AUVector, request: AUVector) -> None:
    if any(not torch.equal(*vector.sides()) for vector in (wanted, request)):
        raise ValueError("left and right are read, and corrected, as one: ask for both sides alike")
    named = [u for i, u in enumerate(wanted.units) if wanted.values[:, i].any()]
    if unread := [f"AU{unit}" for unit in named if unit not in units]:
        raise ValueError(
            f"{name} does not read {', '.join(unread)}: take these AUs out of the "
            "request, or use an estimator that reads them"
        )


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
    names = ("images", "measured", "error", "agrees")
    picked = {name: pick(getattr(now, name), getattr(best, name)) for name in names}
    return replace(now, request=request, **picked)
