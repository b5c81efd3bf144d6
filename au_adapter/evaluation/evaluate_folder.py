"""Evaluate pictures that are there already: a folder, and a table of what each was asked for."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from ..data.pictures import read_picture
from ..data.request_tables import read_requests
from ..estimators import Estimator
from ..estimators.reading import Reading
from ..estimators.reading_tables import FileReadings
from ..weights.downloads import sha256
from .comparison import Comparison
from .protocol_run import run_protocol
from .protocols import Protocol
from .records import REFERENCE, Request


def evaluate_folder(
    folder: Path,
    requested: Path | None,
    output: Path,
    reader: Estimator | FileReadings,
    compare: Comparison,
    changes: bool = False,
) -> None:
    """Measure the pictures that the table `requested` names. changes: it asks for changes of what
    the sources show (MagicFace), else for intensities."""
    protocol, unread = _folder(folder, requested, reader, changes)
    settings, read = {"pictures": contents(protocol)}, isinstance(reader, FileReadings)
    if read:
        settings["readings"] = reader.digest
    run_protocol(
        protocol,
        lambda rows: torch.cat([read_picture(row.source) for row in rows]),
        _read_before(protocol, reader, folder) if read else reader.estimate,
        output,
        compare=compare if protocol.references else None,
        method="pictures as given",
        settings=settings,
        **measured_by(protocol, compare, reader, unread),
    )


def _read_before(
    protocol: Protocol, reader: FileReadings, folder: Path
) -> dict[str, list[Reading]]:
    """Row id -> faces. ValueError for a picture to score that the tool did not read."""
    rows = (*protocol.references, *protocol.rows)
    found = reader.of({row.id: os.path.relpath(row.source, folder) for row in rows})
    needed = protocol.rows if protocol.scale == "absolute" else rows
    if missing := [row.source for row in needed if row.id not in found]:
        raise ValueError(
            f"{reader.name} did not read {len(missing)} of {len(needed)} pictures, such as "
            f"{missing[0]}: let it read them all, or take them out of the table of requests"
        )
    return found


def contents(protocol: Protocol) -> str:
    """16 hex digits of the bytes of all files: rows of pictures that were redrawn do not mix."""
    rows = (*protocol.references, *protocol.rows)
    files = dict.fromkeys(file for row in rows for file in (row.source, row.target) if file)
    return hashlib.sha256("".join(map(sha256, files)).encode()).hexdigest()[:16]


def _folder(
    folder: Path, table: Path | None, reader: Estimator | FileReadings, changes: bool
) -> tuple[Protocol, list[int]]:
    """The pictures of a folder as a protocol: what each was asked for stands in a table. And the
    AUs that were asked for and that the estimator does not read: no row has them."""
    if table is None:
        raise ValueError(
            f"{folder} holds pictures; what they were asked for is missing. Give --requested, a "
            "CSV with the columns file, aus (FACS notation) and, to compare, source"
        )
    rows, references, unread = [], {}, set()
    for entry in read_requests(table, once="file"):
        file, source = entry.cells["file"], entry.cells.get("source")
        name = f"reference_{source}".replace("/", "_") if source else ""
        if changes and not source:
            raise ValueError(
                f"{table} names no source of {file}: a change is measured from what its source "
                "shows; fill the column source, or leave out --changes"
            )
        if source:
            references[name] = Request(name, REFERENCE, {}, 0, name, source=str(folder / source))
        asked = {k: v for k, v in entry.aus.items() if int(k.lstrip("LR")) in reader.units}
        unread |= {int(k.lstrip("LR")) for k in entry.aus if k not in asked}
        rows.append(Request(file, "pictures", asked, 0, name, source=str(folder / file)))
    title = f"Pictures of {folder.name}: Action Units asked for and measured"
    scale, listed = "change" if changes else "absolute", tuple(references.values())
    protocol = Protocol("pictures", title, scale, tuple(reader.units), tuple(rows), listed)
    return protocol, sorted(unread)


def measured_by(
    protocol: Protocol,
    compare: Comparison,
    reader: Estimator | FileReadings,
    asked: Sequence[int] = (),
) -> dict[str, Any]:
    """Who measures, and what nobody can. asked: AUs besides those of the protocol."""
    unread = [unit for unit in (*protocol.units, *asked) if unit not in reader.units]
    missing = {f"AU{unit}": f"{reader.name} does not read it" for unit in unread}
    if protocol.references:
        missing |= compare.not_measured
    networks = compare.networks if protocol.references else {}
    return {"estimator": reader.name, "networks": networks, "not_measured": missing}
