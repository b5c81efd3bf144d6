"""From the readings of a sweep to an adapter that measures what it is asked for.

    calibration = fit_calibration(requested, read_set(estimator, pictures))
    adapter = adapter.with_calibration(calibration)
    adapter.encode(AUVector.parse("12C"), calibrated=True)

The curve of an AU is the monotone one nearest to the mean readings in least squares (isotonic
regression by pooling adjacent violators, Barlow et al. 1972): a slider may saturate, but asking for
more never shows less. Beside it stand how far faces lie apart at each request, and what the change
of the picture costs. `models.calibration` chooses what to ask for by all three.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from scipy.optimize import isotonic_regression
from torch import Tensor

from ..estimators.reading import ReadingSet
from ..facs import AUVector
from ..models.calibration import Calibration, ResponseCurve

LOGGER = logging.getLogger("au_adapter")
# A little beyond 5: an AU that answers weakly shows a 4 only when it is asked for more than one.
# Far beyond what an adapter was trained on, faces smear.
LEVELS = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 7.0)
# Intensities that a change of the whole picture from black to white would cost: a change of 0.04
# (RMSE), where eyes and mouth of a portrait are others, is as bad as being an intensity off.
PRICE = 25.0


@dataclass(frozen=True)
class Observations:
    """One AU in its own sweep: requested, measured and costs, float32 [M] each."""

    unit: int
    requested: Tensor
    measured: Tensor
    costs: Tensor


def sweep_vectors(units: Iterable[int], levels: Sequence[float] = LEVELS) -> AUVector:
    """One AU vector for each unit and each level of it alone; the neutral face once, first."""
    units = tuple(units)
    rows = [torch.zeros(len(units))]
    for column in range(len(units)):
        for level in (level for level in levels if level):
            rows.append(torch.zeros(len(units)))
            rows[-1][column] = level
    return AUVector(units, torch.stack(rows))


def changes(requested: AUVector, pictures: Tensor) -> Tensor:
    """RMSE [N] (0..1) of each picture [N, H, W, 3] to the face at rest: the last picture up to it
    that asks for none of the AUs that vary. ValueError unless the first does, or numbers differ."""
    resting = ~requested.values[:, _varying(requested)].any(1)
    if len(requested) != len(pictures) or not resting[0]:
        raise ValueError(
            "What a request does to a picture is seen beside the face at rest, the first: found "
            f"{len(pictures)} pictures and {len(requested)} vectors, of which the first asks for "
            f"{requested.dict(0) or 'nothing'}. Let the sweep begin at 0, and give all pictures"
        )
    rest = torch.where(resting, torch.arange(len(pictures)), 0).cummax(0).values
    return (pictures - pictures[rest]).square().mean((1, 2, 3)).sqrt()


def _varying(requested: AUVector) -> Tensor:
    """[K], true for AUs that are not the same in all pictures."""
    return (requested.values != requested.values[:1]).any(0)


def observations(
    requested: AUVector, readings: ReadingSet, costs: Tensor | None = None
) -> list[Observations]:
    """What each AU measured while it alone varied, for every AU that `readings` can judge.

    requested: one AU vector for each picture of `readings`. costs: [pictures], in intensities, how
    bad it is that a picture changed as it did; nothing by default. AUs that are the same in all
    pictures are the rest of the expression. A picture without a face is left out and counted in the
    log. ValueError where the numbers of both differ, or no AU was swept alone.
    """
    if len(requested) != readings.pictures:
        raise ValueError(
            f"A calibration needs one AU vector for each picture that was read: found "
            f"{len(requested)} vectors and {readings.pictures} pictures. Connect the AU_VECTOR of "
            "the sweep that the pictures were made with"
        )
    faces = readings.surest()
    costs = torch.zeros(len(faces)) if costs is None else costs
    if lost := faces.count(None):
        LOGGER.warning("Calibration: no face in %d of %d pictures", lost, len(faces))
    varying = _varying(requested)
    found = []
    for column, unit in enumerate(requested.units):
        others = varying.clone()
        others[column] = False
        alone = ~requested.values[:, others].any(1)
        rows = [i for i, face in enumerate(faces) if alone[i] and face and unit in face.aus.units]
        if varying[column] and requested.values[rows, column].unique().numel() > 1:
            vectors = [faces[i].aus.select((unit,), strict=False) for i in rows]
            seen = torch.stack([vector.values[0, 0] for vector in vectors])
            found.append(Observations(unit, requested.values[rows, column], seen, costs[rows]))
    if not found:
        raise ValueError(
            "A calibration needs a sweep: pictures in which one AU alone has two or more "
            f"intensities and is read. Found {len(faces)} pictures, {lost} without a face, of "
            f"{int(varying.sum())} varying AUs. Use AU Sweep, one unit at a time"
        )
    return found


def fit_calibration(
    requested: AUVector, readings: ReadingSet, conditions: str = "", costs: Tensor | None = None
) -> Calibration:
    """The response curves of all AUs that were swept; see `observations` for the input."""
    curves = {seen.unit: fit_curve(seen) for seen in observations(requested, readings, costs)}
    return Calibration(readings.estimator, curves, conditions)


def fit_curve(seen: Observations) -> ResponseCurve:
    """The monotone curve nearest to the mean reading at each request, weighted by their count, and
    the standard deviation of the readings and the mean cost there."""
    levels = seen.requested.unique()
    at = [seen.requested == level for level in levels]
    groups = [seen.measured[rows].double() for rows in at]
    means, counts = [group.mean().item() for group in groups], [len(group) for group in groups]
    measured = isotonic_regression(means, weights=counts).x
    spread = [group.std(correction=0).item() for group in groups]
    numbers = (levels.tolist(), measured, spread, [seen.costs[rows].mean() for rows in at])
    return ResponseCurve(*(tuple(round(float(n), 4) for n in side) for side in numbers))
