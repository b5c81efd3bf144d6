"""From pictures to rows: what was read in them, and what was compared with their references.

`protocol_run` writes such rows for a whole protocol, `picture_report` makes them of one batch.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..estimators.reading import Reading
from .records import Request, Row
from .sides import intensities

LOGGER = logging.getLogger("au_adapter")

Faces = Sequence[Reading] | None  # of one picture, the most confident first; None: nobody looked
Compare = Callable[[Tensor, Tensor, Sequence[Request]], Mapping[str, Tensor]]


def are_finite(images: Tensor) -> Tensor:
    """Which of images [N, H, W, 3] have finite values only, bool [N]."""
    return images.isfinite().flatten(1).all(1).cpu()


def measured_rows(
    requests: Sequence[Request],
    images: Tensor,
    faces: Sequence[Faces],
    method: str,
    apart: Collection[int] = (),
) -> list[Row]:
    """The row of each picture [N, H, W, 3]. What was read in one with NaN or infinity means
    nothing and is dropped. apart: the AUs whose sides are read apart."""
    rows, finites = [], are_finite(images).tolist()
    for request, finite, found in zip(requests, finites, faces, strict=True):
        if not finite:
            LOGGER.warning("%s has NaN or infinity: it is counted, and not measured", request.id)
        seen = found if finite else None
        rows.append(
            Row(
                **vars(request),
                method=method,
                finite=finite,
                faces=None if seen is None else len(seen),
                turned=bool(seen) and seen[0].turned,
                measured=intensities(seen[0].aus, apart) if seen else None,
            )
        )
    return rows


def by_picture(readings: Sequence[Reading], count: int) -> list[list[Reading]]:
    """The faces of each of `count` pictures, the most confident first; of others: ValueError."""
    faces: list[list[Reading]] = [[] for _ in range(count)]
    for reading in readings:
        if not 0 <= reading.image < count:
            raise ValueError(
                f"The estimator speaks of picture {reading.image}, but it was given {count}"
            )
        faces[reading.image].append(reading)
    return [sorted(found, key=lambda reading: -reading.confidence) for found in faces]


def compared_rows(
    rows: Sequence[Row], images: Tensor, references: Tensor, compare: Compare
) -> list[Row]:
    """Rows with their metrics: what `compare` says of images [N, H, W, 3] beside references,
    [N, H, W, 3] or one for all.

    `compare` is shown finite pictures only. A number that is not there is None, as JSON has no NaN;
    where no pair is finite there are no metrics at all.
    """
    usable = are_finite(images) & are_finite(references)
    found: Mapping[str, Tensor] = {}
    if usable.any():
        if len(references) > 1 and not usable.all():
            references = references[usable]
        chosen = [row for row, use in zip(rows, usable.tolist(), strict=True) if use]
        shown = images if usable.all() else images[usable]
        found = compare(shown, references, chosen)
    numbers: list[dict[str, float | None]] = [{} for _ in rows]
    for name, values in found.items():
        placed = torch.full((len(rows),), torch.nan, dtype=torch.float64)
        placed[usable] = torch.as_tensor(values).double().cpu()
        for row, value in zip(numbers, placed.tolist(), strict=True):
            row[name] = round(value, 6) if math.isfinite(value) else None
    return [replace(row, metrics=found) for row, found in zip(rows, numbers, strict=True)]
