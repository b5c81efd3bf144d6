"""A batch of pictures against what was asked for: the report of AU Evaluator and of the shell."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..estimators.reading import Reading, ReadingSet
from ..facs import AUVector
from ..facs.notation import format_notation
from .comparison import Comparison
from .finite import compare_finite, finite_pictures
from .protocol_run import seen
from .protocols import REFERENCE
from .report import ALL, SCHEMA, Report, build_report
from .sides import columns, of_one_face, sided_units

TITLE = "Action Units asked for and measured"
GROUP = ALL
LONGEST_NAME = 100
NO_READINGS = "needs readings: connect AU_READING of AU Estimator, or a FACE_READER"


@dataclass(frozen=True)
class Source:
    """What pictures are compared with: images [1 or N, H, W, 3], and what an estimator saw there,
    if one looked."""

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
    """A file name for a report: the FACS code where all its pictures ask for the same, else the AUs
    that they ask for: "AU06+12"."""
    asked = [record["requested"] for record in report.records if record["group"] != REFERENCE]
    if all(one == asked[0] for one in asked):
        return facs_name(asked[0])
    units = sorted({_number(code) for one in asked for code, value in one.items() if value})
    return "AU" + "+".join(f"{unit:02d}" for unit in units)


def evaluate_pictures(
    images: Tensor,
    requested: AUVector,
    readings: ReadingSet | None = None,
    *,
    source: Source | None = None,
    scale: str = "absolute",
    compare: Comparison | None = None,
    files: Sequence[str] | None = None,
    settings: Mapping[str, object] | None = None,
) -> Report:
    """The report of pictures [N, H, W, 3] that were asked for N AU vectors, or one for all.

    readings: of these pictures; None where nobody read them. source: the pictures before, or
    without AUs; `compare` then measures what else has changed. scale: "absolute", a request is the
    intensity to show; "change", it is added to what the source shows. files: names of the pictures,
    by default FACS codes. A picture without a face is counted, one with NaN or infinity is counted
    and not measured, an AU that the estimator does not read and a metric without its network are
    named. ValueError where numbers do not fit, or nothing at all could be measured.
    """
    requested = _for_all(requested, len(images))
    _check(images, readings, source, scale)
    units = _units(requested, readings)
    apart = [u for u in _sided(requested) if u in units]
    asked = [_asked(requested, i, units, apart) for i in range(len(images))]
    names = [f"{facs_name(requested.dict(i))}_{i + 1:04d}" for i in range(len(images))]
    records = _records(names, GROUP, asked, images, readings, apart)
    for i, record in enumerate(records):
        record["target"] = files[i] if files is not None else f"{record['id']}.png"
    references = [] if source is None else _compared(records, images, source, compare, apart)
    header = _header(requested, readings, units, scale, compare if source else None) | {
        "rows": len(records),
        "references": len(references),
        "settings": dict(settings or {}),
        "fingerprint": hashlib.sha256(json.dumps(asked).encode()).hexdigest(),
    }
    return build_report(header | ({"sides": apart} if apart else {}), [*references, *records])


def _for_all(requested: AUVector, count: int) -> AUVector:
    if len(requested) == count:
        return requested
    if len(requested) != 1:
        raise ValueError(
            f"{len(requested)} AU vectors were asked for and there are {count} pictures: give one "
            "vector for all of them, or one for each"
        )
    return AUVector.stack([requested] * count)


def _check(images: Tensor, readings: ReadingSet | None, source: Source | None, scale: str) -> None:
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


def _units(requested: AUVector, readings: ReadingSet | None) -> list[int]:
    """What can be judged: all AUs that the estimator read, else those that were asked for."""
    faces = [] if readings is None else readings.readings
    return list(faces[0].aus.units) if faces else list(requested.units)


def _sided(requested: AUVector) -> list[int]:
    return sided_units(requested.dict(face) for face in range(len(requested)))


def _asked(
    requested: AUVector, face: int, units: Sequence[int], apart: Collection[int]
) -> dict[str, float]:
    """AU -> intensity of what one picture asks for, the AUs in `apart` by side. A neutral one asks
    for the AUs of the others, at 0: the beginning of a sweep."""
    known = requested.select([unit for unit in requested.units if unit in units] or units, False)
    here = _nonzero(known.face(face)) or _nonzero(known)
    values = of_one_face(known.face(face))
    return {str(c): round(values[str(c)], 4) for c in columns(here, apart)}


def _nonzero(aus: AUVector) -> list[int]:
    """The AUs of which some face asks for something, be it on one side."""
    either = torch.stack(aus.sides()).any(0).any(0)
    return [unit for unit, some in zip(aus.units, either.tolist(), strict=True) if some]


def _compared(
    records: list[dict],
    images: Tensor,
    source: Source,
    compare: Comparison | None,
    apart: Collection[int],
) -> list[dict]:
    """The rows of the source, to which `records` now refer, with what they measure against it."""
    names = [f"source_{i + 1:04d}" for i in range(len(source.images))]
    metrics = {} if compare is None else compare_finite(compare, images, source.images)
    for i, record in enumerate(records):
        record["reference"] = names[i if len(names) > 1 else 0]
        record["metrics"] = {name: _number_or_none(value[i]) for name, value in metrics.items()}
    nothing = [{}] * len(names)
    return _records(names, REFERENCE, nothing, source.images, source.readings, apart)


def _records(
    names: Sequence[str],
    group: str,
    asked: Sequence[dict[str, float]],
    images: Tensor,
    readings: ReadingSet | None,
    apart: Collection[int],
) -> list[dict]:
    """The rows of pictures; what an estimator says of one that is not finite means nothing."""
    return [
        _record(names[i], group, asked[i], _faces(readings, i) if usable else None, apart)
        | {"finite": usable}
        for i, usable in enumerate(finite_pictures(images).tolist())
    ]


def _record(
    name: str,
    group: str,
    asked: dict[str, float],
    faces: list[Reading] | None,
    apart: Collection[int],
) -> dict:
    """A row as `protocols.run` writes it; faces None: nobody looked."""
    return {
        **{"id": name, "group": group, "requested": asked, "seed": None, "reference": ""},
        **{"prompt": "", "source": "", "target": "", "method": ""},
        **seen(faces, apart),
    }


def _faces(readings: ReadingSet | None, picture: int) -> list[Reading] | None:
    """The faces of a picture, the surest first; None where nobody looked."""
    if readings is None:
        return None
    return sorted(readings.of(picture), key=lambda reading: -reading.confidence)


def _header(
    requested: AUVector,
    readings: ReadingSet | None,
    units: list[int],
    scale: str,
    compare: Comparison | None,
) -> dict:
    missing = {} if readings is not None else {"au_mse": NO_READINGS}
    for unit in _nonzero(requested):
        if unit not in units:
            missing[f"AU{unit}"] = f"{readings.estimator} does not read it"
    return {
        **{"schema": SCHEMA, "protocol": "", "title": TITLE, "scale": scale, "units": units},
        **{"published": {}, "ours": [], "method": "as given"},
        "estimator": "none" if readings is None else readings.estimator,
        "networks": dict(compare.networks) if compare else {},
        "not_measured": missing | (dict(compare.not_measured) if compare else {}),
    }


def _number_or_none(value: Tensor) -> float | None:
    return round(value.item(), 6) if torch.isfinite(value) else None


def _number(code: str) -> int:
    return int(code.lstrip("LRTB"))
