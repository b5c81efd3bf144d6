"""Carries a protocol out: makes every picture, reads its face, writes one line each, resumes.

A folder holds `protocol.json` (what is run, with what) and `rows-<process>.jsonl`, one file for
each process, so that no two write to one file. A row belongs to one process by its place in the
protocol; a process does those of its rows that no file holds yet.
"""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TextIO

import torch
from torch import Tensor

from ..estimators.reading import Reading
from ..metrics.checks import layout
from .finite import compare_finite, finite_pictures
from .protocols import REFERENCE, SCHEMA, Protocol, Row
from .sides import intensities, sided_units

LOGGER = logging.getLogger("au_adapter")
HEADER = "protocol.json"

Generate = Callable[[Sequence[Row]], Tensor]
Estimate = Callable[[Tensor], list[Reading]]
Compare = Callable[[Tensor, Tensor, Sequence[Row]], Mapping[str, Tensor]]


def run_protocol(
    protocol: Protocol,
    generate: Generate,
    estimate: Estimate | Mapping[str, Sequence[Reading]],
    output: str | Path,
    *,
    estimator: str,
    compare: Compare | None = None,
    method: str = "adapter",
    settings: Mapping[str, object] | None = None,
    networks: Mapping[str, str] | None = None,
    not_measured: Mapping[str, str] | None = None,
    batch_size: int = 1,
    process: tuple[int, int] | None = None,
) -> Path:
    """Do all rows of `protocol` that `output` lacks; returns the folder. Safe to stop and repeat.

    generate: rows of one reference -> pictures [N, H, W, 3] in 0..1; a row of the group "reference"
    asks for no AUs: no AU condition, or the photo itself. estimate: pictures -> Readings; or row id
    -> its faces, the surest first, where they were read before: nobody looked at a row that is not
    there. compare: pictures, their references, rows -> metric name -> [N], such as CLIP-I.
    estimator, method, settings: what a reader of the numbers must know. networks: metric of
    `compare` -> what sees it; not_measured: metric -> why it is missing. process: index and number
    of processes, by default as accelerate launched them.

    A face that is not found makes a row with "faces": 0 and no measurement. A picture with NaN or
    infinity makes one with "finite": false, which neither `estimate` nor `compare` is shown.
    ValueError where the folder holds another run.
    """
    output = Path(output)
    about = {"networks": dict(networks or {}), "not_measured": dict(not_measured or {})}
    header = describe(protocol, estimator, method, settings) | about
    _claim(output, header)
    index, count = process or process_share()
    done = {record["id"] for record in read_records(output)}
    mine = (*protocol.references, *protocol.rows)[index::count]
    todo = [row for row in mine if row.id not in done]
    LOGGER.info("%s: %d of %d pictures left to make", protocol.name, len(todo), len(mine))
    reference_of = _references(protocol, generate)
    with _appending(output / f"rows-{index}.jsonl") as file:
        for rows in _batches(todo, batch_size):
            images = _generated(generate, rows)
            finite = finite_pictures(images).tolist()
            found = _read(estimate, images, rows, finite)
            records = _records(rows, found, finite, method, header)
            if compare is not None and rows[0].group != REFERENCE and rows[0].reference:
                reference = reference_of(rows[0], images)
                _add_metrics(records, compare_finite(compare, images, reference, rows))
            file.writelines(json.dumps(record) + "\n" for record in records)
            file.flush()
    return output


def describe(
    protocol: Protocol, estimator: str, method: str, settings: Mapping[str, object] | None
) -> dict:
    """What a folder of rows begins with: which protocol, measured how. JSON."""
    header = {
        "schema": SCHEMA,
        "protocol": protocol.name,
        "title": protocol.title,
        "fingerprint": protocol.fingerprint(),
        "scale": protocol.scale,
        "units": protocol.units,
        "rows": len(protocol.rows),
        "references": len(protocol.references),
        "published": protocol.published,
        "ours": protocol.ours,
        "estimator": estimator,
        "method": method,
        "settings": dict(settings or {}),
    }
    if apart := sided_units(row.requested for row in protocol.rows):
        header["sides"] = apart
    return json.loads(json.dumps(header))


def read_header(output: str | Path) -> dict:
    """The `protocol.json` of a folder; ValueError where there is none."""
    path = Path(output) / HEADER
    if not path.is_file():
        raise ValueError(f"{output} holds no run of a protocol: {HEADER} is missing")
    return json.loads(path.read_text(encoding="utf-8"))


def read_records(output: str | Path) -> list[dict]:
    """All rows of all processes, each id once. A line cut off by a stop is left out."""
    records: dict[str, dict] = {}
    for path in sorted(Path(output).glob("rows-*.jsonl")):
        *lines, _cut_off = path.read_text(encoding="utf-8").split("\n")
        for number, line in enumerate(lines, 1):
            try:
                record = json.loads(line)
            except json.JSONDecodeError as error:
                raise ValueError(
                    f"{path} is damaged in line {number} ({error}): delete that line, and its row "
                    "will be made again"
                ) from error
            records.setdefault(record["id"], record)
    return list(records.values())


def process_share() -> tuple[int, int]:
    """Index and number of the processes that accelerate launched; (0, 1) for a single one."""
    launched = int(os.environ.get("WORLD_SIZE", "1"))
    if launched == 1:
        return 0, 1
    try:
        from ..processes import launched_processes
    except ModuleNotFoundError as error:
        raise RuntimeError(
            "Several processes share a protocol through the package accelerate. Install it with: "
            'pip install "au-adapter[eval]"'
        ) from error
    state = launched_processes()
    if state.num_processes != launched:  # each would do everything, into one file
        raise RuntimeError(
            f"{launched} processes were launched, but accelerate sees {state.num_processes}: start "
            "them by `accelerate launch`, with --cpu where there is no GPU"
        )
    return state.process_index, state.num_processes


def _claim(output: Path, header: dict) -> None:
    """Write the header, or find the same one there."""
    output.mkdir(parents=True, exist_ok=True)
    if not (output / HEADER).is_file():
        partial = output / f".{HEADER}.{os.getpid()}"
        partial.write_text(json.dumps(header, indent=1) + "\n", encoding="utf-8")
        os.replace(partial, output / HEADER)
    found = read_header(output)
    for key, value in header.items():
        if found.get(key) != value:
            raise ValueError(
                f"{output} holds another run: its {key} is {found.get(key)!r}, this one's is "
                f"{value!r}. Choose another folder, or delete this one to begin anew"
            )


def _appending(path: Path) -> TextIO:
    """A file of lines, open at its end; a line that a stop cut off is removed."""
    with path.open("ab+") as file:
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
    return path.open("a", encoding="utf-8")


def _batches(rows: Sequence[Row], size: int) -> Iterator[list[Row]]:
    """Up to `size` rows of one reference at a time, so that a batch has one prompt or photo. The
    reference is no part of it: it is made without AUs."""
    for _, group in groupby(rows, key=lambda row: (row.group == REFERENCE, row.reference)):
        together = list(group)
        for start in range(0, len(together), size):
            yield together[start : start + size]


def _references(protocol: Protocol, generate: Generate) -> Callable[[Row, Tensor], Tensor]:
    """A function from a row and its pictures [N, H, W, 3] to its reference N times; it keeps the
    last picture, as rows of one reference follow one another."""
    rows = {row.id: row for row in protocol.references}
    kept: dict[str, Tensor] = {}

    def reference(row: Row, images: Tensor) -> Tensor:
        if row.reference not in kept:
            kept.clear()
            kept[row.reference] = _generated(generate, [rows[row.reference]])
        picture = kept[row.reference]
        if picture.shape[1:] != images.shape[1:]:
            raise ValueError(
                f"{row.id} is {list(images.shape[1:])} and its reference {row.reference} "
                f"{list(picture.shape[1:])}: both must have one size"
            )
        return picture.expand_as(images)

    return reference


def _generated(generate: Generate, rows: Sequence[Row]) -> Tensor:
    images = layout("run_protocol", generate(rows))
    if len(images) != len(rows):
        raise ValueError(
            f"{len(rows)} pictures were asked for, from {rows[0].id} on, but {len(images)} came"
        )
    return images


def _read(
    estimate: Estimate | Mapping[str, Sequence[Reading]],
    images: Tensor,
    rows: Sequence[Row],
    finite: Sequence[bool],
) -> list[Sequence[Reading] | None]:
    """The readings of each picture, the most confident first; None where nobody looked, as at one
    that is not finite."""
    if isinstance(estimate, Mapping):
        known = (estimate.get(row.id) for row in rows)
        return [faces if usable else None for faces, usable in zip(known, finite, strict=True)]
    shown = images[torch.tensor(finite)]
    found = iter(_measurements(estimate(shown) if len(shown) else [], len(shown)))
    return [next(found) if usable else None for usable in finite]


def _measurements(readings: list[Reading], count: int) -> list[list[Reading]]:
    """The readings of each of `count` pictures, the most confident first."""
    faces: list[list[Reading]] = [[] for _ in range(count)]
    for reading in readings:
        if not 0 <= reading.image < count:
            raise ValueError(
                f"The estimator speaks of picture {reading.image}, but it was given {count}"
            )
        faces[reading.image].append(reading)
    return [sorted(found, key=lambda reading: -reading.confidence) for found in faces]


def _records(
    rows: Sequence[Row],
    faces: Sequence[Sequence[Reading] | None],
    finite: Sequence[bool],
    method: str,
    header: Mapping,
) -> list[dict]:
    for row, usable in zip(rows, finite, strict=True):
        if not usable:
            LOGGER.warning("%s has NaN or infinity: it is counted, and not measured", row.id)
    apart = header.get("sides", ())
    return [
        {**asdict(row), "method": method, "finite": usable, **seen(found, apart)}
        for row, found, usable in zip(rows, faces, finite, strict=True)
    ]


def seen(found: Sequence[Reading] | None, apart: Collection[int]) -> dict:
    """What a row says of its faces: how many, None where nobody looked, whether the first is turned
    away, and its intensities, the AUs in `apart` by side."""
    return {
        "faces": None if found is None else len(found),
        "turned": bool(found) and found[0].turned,
        "measured": intensities(found[0].aus, apart) if found else None,
    }


def _add_metrics(records: list[dict], metrics: Mapping[str, Tensor]) -> None:
    """One number a picture and metric; None where it could not be measured, as JSON has no NaN."""
    for record in records:
        record["metrics"] = {}
    for name, values in metrics.items():
        for record, value in zip(records, torch.as_tensor(values).tolist(), strict=True):
            record["metrics"][name] = round(value, 6) if math.isfinite(value) else None
