"""A batch of pictures against what was asked for: the report of AU Evaluator."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..estimators.reading import ReadingSet
from ..faces.picture_checks import in_colour
from ..facs import AUVector
from ..facs.notation import format_notation
from .comparison import Comparison
from .measured_rows import Faces, by_picture, compared_rows, measured_rows
from .records import REFERENCE, Request, Row, RunHeader
from .report import ALL, Report, build_report
from .sides import columns, of_one_face, sided_units

TITLE = "Action Units asked for and measured"
LONGEST_NAME = 100
NO_READINGS = "needs readings: connect AU_READING of AU Estimator, or a FACE_READER"


@dataclass(frozen=True)
class ReferencePictures:
    """images: [1 or N, H, W, 3]. readings: what an estimator saw there, if one looked."""

    images: Tensor
    readings: ReadingSet | None = None


def facs_name(aus: Mapping[str, float]) -> str:
    """FACS code fit for a file name that sorts by AU: {"6": 3, "12": 4} -> "AU06C+12D". Intensities
    are rounded to tenths, and a very long name is cut."""
    ordered = sorted(aus.items(), key=lambda item: _number(item[0]))
    code = format_notation({name: round(value, 1) for name, value in ordered})
    padded = re.sub(r"\d+(?=[A-E:])", lambda match: match[0].zfill(2), code).replace(":", "=")
    if len(padded) > LONGEST_NAME:
        padded = padded[:LONGEST_NAME].rpartition("+")[0] + "+more"
    return f"AU{padded or '00'}"


def batch_name(report: Report) -> str:
    """A file name for a report: the FACS code of all pictures, or all their AUs: "AU06+12"."""
    requests = [row.requested for row in report.scored()] or [{}]
    if all(one == requests[0] for one in requests):
        return facs_name(requests[0])
    units = sorted({_number(code) for one in requests for code, value in one.items() if value})
    return "AU" + "+".join(f"{unit:02d}" for unit in units)


def evaluate_pictures(
    images: Tensor,
    requested: AUVector,
    readings: ReadingSet | None = None,
    *,
    source: ReferencePictures | None = None,
    scale: str = "absolute",
    compare: Comparison | None = None,
) -> Report:
    """The report of pictures [N, H, W, 3] that were asked for N AU vectors, or one for all.

    readings: of these pictures; None where nobody read them. source: the pictures before, or
    without AUs; `compare` then measures what else has changed. Where the one source is itself among
    the pictures and asks for no AUs, as AU Protocol's first, it is their reference and not scored.
    scale: "absolute", a request is the intensity to show; "change", it is added to what the source
    shows. Pictures are named by FACS code. Those without a face, and with NaN or infinity, are
    counted; AUs that the estimator does not read and metrics without their network are named.
    ValueError where numbers do not fit, or nothing can be measured.
    """
    _check(images, requested, readings, source, scale)
    if len(requested) != len(images):
        requested = AUVector.stack([requested] * len(images))
    images = in_colour(images)
    if source is not None:
        source = replace(source, images=in_colour(source.images))
    # What can be judged: all AUs that the estimator read, else those that were asked for.
    seen = readings.readings if readings else ()
    units = list((seen[0].aus if seen else requested).units)
    sided = sided_units(requested.dict(face) for face in range(len(requested)))
    apart = [unit for unit in sided if unit in units]
    names = [f"{facs_name(requested.dict(i))}_{i + 1:04d}" for i in range(len(images))]
    requests = [
        Request(name, ALL, _asked(requested, i, units, apart), None, target=f"{name}.png")
        for i, name in enumerate(names)
    ]
    if source is None:
        rows = measured_rows(requests, images, _faces(readings, len(images)), "", apart)
    else:
        neutral = ~torch.stack(requested.sides()).any(0).any(1) & (len(source.images) == 1)
        own = [i for i, x in enumerate(images) if neutral[i] and x.equal(source.images[0])]
        rows = _rows_beside(requests, images, readings, source, own, compare, apart)
    asked = [request.requested for request in requests]
    missing = {} if readings else {"au_mse": NO_READINGS}
    unread = [unit for unit in _nonzero(requested) if unit not in units]
    missing |= {f"AU{unit}": f"{readings.estimator} does not read it" for unit in unread}
    if compared := compare if source else None:
        missing |= compared.not_measured
    references = sum(row.group == REFERENCE for row in rows)
    header = RunHeader(
        protocol="",
        title=TITLE,
        fingerprint=hashlib.sha256(json.dumps(asked).encode()).hexdigest(),
        scale=scale,
        units=tuple(units),
        rows=len(rows) - references,
        references=references,
        estimator=readings.estimator if readings else "none",
        method="as given",
        networks=dict(compared.networks) if compared else {},
        not_measured=missing,
        sides=tuple(apart),
    )
    return build_report(header, rows)


def _check(
    images: Tensor,
    requested: AUVector,
    readings: ReadingSet | None,
    source: ReferencePictures | None,
    scale: str,
) -> None:
    if len(requested) not in (1, len(images)):
        raise ValueError(
            f"{len(requested)} AU vectors were asked for and there are {len(images)} pictures: "
            "give one vector for all of them, or one for each"
        )
    if readings is not None and readings.pictures != len(images):
        raise ValueError(
            f"The readings are of {readings.pictures} pictures and there are {len(images)}: "
            "read the same pictures that are evaluated"
        )
    if scale not in ("absolute", "change"):
        raise ValueError(f"A request is absolute or a change, not {scale!r}")
    if scale == "change" and (source is None or source.readings is None):
        raise ValueError(
            "A change is measured from a source picture that was read as well: connect the source "
            "and a FACE_READER, or take the requests as intensities"
        )
    if readings is None and source is None:
        raise ValueError(
            "There is nothing to measure: connect AU_READING or a FACE_READER to measure the "
            "Action Units, or a source picture to measure what else has changed"
        )


def _nonzero(aus: AUVector) -> list[int]:
    """The AUs of which some face asks for something, be it on one side."""
    either = torch.stack(aus.sides()).any(0).any(0)
    return [unit for unit, some in zip(aus.units, either.tolist(), strict=True) if some]


def _asked(
    requested: AUVector, face: int, units: Sequence[int], apart: Collection[int]
) -> dict[str, float]:
    """AU -> intensity of what one picture asks for, the AUs in `apart` by side. A neutral one asks
    for the AUs of the others, at 0: the beginning of a sweep."""
    known = requested.select([unit for unit in requested.units if unit in units] or units, False)
    here = _nonzero(known.face(face)) or _nonzero(known)
    values = of_one_face(known.face(face))
    return {str(c): round(values[str(c)], 4) for c in columns(here, apart)}


def _rows_beside(
    requests: Sequence[Request],
    images: Tensor,
    readings: ReadingSet | None,
    source: ReferencePictures,
    own: Collection[int],
    compare: Comparison | None,
    apart: Collection[int],
) -> list[Row]:
    """The rows of the source, then of the pictures in their order, with what they measure against
    it. own: the pictures that are the source, which stand for it."""
    faces, of_source = _faces(readings, len(images)), _faces(source.readings, len(source.images))
    names = [f"source_{i + 1:04d}" for i in range(len(source.images))]
    before = [Request(name, REFERENCE, {}, None) for name in names]
    if own:
        before = [replace(requests[i], group=REFERENCE, requested={}) for i in own]
        names = [before[0].id]
        of_source = [of_source[0] if source.readings else faces[i] for i in own]
    scored = [i for i in range(len(images)) if i not in own]
    after = [replace(requests[i], reference=names[i if len(names) > 1 else 0]) for i in scored]
    rows = measured_rows(after, images[scored], [faces[i] for i in scored], "", apart)
    if compare is not None and rows:
        rows = compared_rows(rows, images[scored], source.images, compare)
    photos = source.images.expand(len(before), -1, -1, -1) if own else source.images
    place = {request.id: i for i, request in enumerate(requests)}
    found = [*measured_rows(before, photos, of_source, "", apart), *rows]
    return sorted(found, key=lambda row: place.get(row.id, -1))


def _faces(readings: ReadingSet | None, pictures: int) -> list[Faces]:
    """The faces of each picture, the most confident first; None where nobody looked."""
    return [None] * pictures if readings is None else by_picture(readings.readings, pictures)


def _number(code: str) -> int:
    return int(code.lstrip("LRTB"))
