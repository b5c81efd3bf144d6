"""Run a protocol: make every picture, read its face, write one line for each; resumable.

The output folder holds `protocol.json` (what is run, with what) and one `rows-<process>.jsonl` for
each process, so that no two write to one file. A request belongs to a process by its place in the
protocol; a process does those of its requests that no file holds yet.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import groupby, islice
from pathlib import Path
from typing import Any, TextIO, TypeVar

from torch import Tensor

from ..disk import damage_named, read_json, remove_abandoned, write_text
from ..estimators.reading import Reading
from ..metrics.checks import layout
from .measured_rows import Compare, Faces, are_finite, by_picture, compared_rows, measured_rows
from .protocols import Protocol
from .records import REFERENCE, Request, Row, RunHeader
from .sides import sided_units

LOGGER = logging.getLogger("au_adapter")
HEADER = "protocol.json"
T = TypeVar("T")

Generate = Callable[[Sequence[Request]], Tensor]
Estimate = Callable[[Tensor], list[Reading]]


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
    """Do all requests of `protocol` that `output` lacks; returns the folder. Safe to stop and
    repeat.

    generate: requests of one reference -> pictures [N, H, W, 3] in 0..1; one of the group
    "reference" asks for no AUs: the method's neutral picture, or the photo itself. estimate:
    pictures -> Readings; or request id -> its faces, where they were read before: nobody looked at
    a picture that is not there. compare: pictures, their references, requests -> metric name ->
    [N], such as CLIP-I. estimator, method, settings: what a reader of the numbers must know.
    networks: metric of `compare` -> what sees it; not_measured: metric -> why it is missing.
    process: index and number of processes, by default as accelerate launched them.

    A face that is not found makes a row with "faces": 0 and no measurement. A picture with NaN or
    infinity makes one with "finite": false, which neither `estimate` nor `compare` is shown.
    ValueError where the folder holds another run.
    """
    output = Path(output)
    remove_abandoned(output)
    alike = ("title", "scale", "units", "published", "ours")
    header = RunHeader(
        protocol=protocol.name,
        fingerprint=protocol.fingerprint(),
        rows=len(protocol.rows),
        references=len(protocol.references),
        estimator=estimator,
        method=method,
        settings=dict(settings or {}),
        networks=dict(networks or {}),
        not_measured=dict(not_measured or {}),
        sides=tuple(sided_units(request.requested for request in protocol.rows)),
        **{name: getattr(protocol, name) for name in alike},
    )
    _claim(output, header)
    (index, count), done = process or process_share(), {row.id for row in read_rows(output)}
    mine = (*protocol.references, *protocol.rows)[index::count]
    todo = [request for request in mine if request.id not in done]
    LOGGER.info("%s: %d of %d pictures left to make", protocol.name, len(todo), len(mine))
    reference_of = _references(protocol, generate)
    with _appending(output / f"rows-{index}.jsonl") as file:
        # One prompt or photo at a time; its reference apart, as it asks for no AUs.
        for requests in batches(todo, batch_size, lambda r: (r.group == REFERENCE, r.reference)):
            images = _generated(generate, requests)
            faces = _faces(estimate, images, requests)
            rows = measured_rows(requests, images, faces, method, header.sides)
            if compare is not None and requests[0].group != REFERENCE and requests[0].reference:
                rows = compared_rows(rows, images, reference_of(requests[0], images), compare)
            file.writelines(json.dumps(row.json()) + "\n" for row in rows)
            file.flush()
    return output


def read_header(output: str | Path) -> RunHeader:
    """The `protocol.json` of a folder; ValueError where there is none."""
    with damage_named(Path(output) / HEADER):
        return RunHeader.from_json(_header_json(Path(output)))


def read_rows(output: str | Path) -> list[Row]:
    """All rows of all processes, each id once. A line cut off by a stop is left out."""
    rows: dict[str, Row] = {}
    for path in sorted(Path(output).glob("rows-*.jsonl")):
        with damage_named(path, "Delete it, and its rows will be made again"):
            *lines, _cut_off = path.read_text(encoding="utf-8").split("\n")
        for number, line in enumerate(lines, 1):
            advice = f"Delete its line {number}, and that row will be made again"
            with damage_named(path, advice):
                row = Row.from_json(json.loads(line))
            rows.setdefault(row.id, row)
    return list(rows.values())


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


def _header_json(output: Path) -> dict[str, Any]:
    path = output / HEADER
    if not path.is_file():
        raise ValueError(f"{output} holds no run of a protocol: {HEADER} is missing")
    return read_json(path)


def _claim(output: Path, header: RunHeader) -> None:
    """Write the header, or find the same one there."""
    output.mkdir(parents=True, exist_ok=True)
    text = json.dumps(header.json(), indent=1) + "\n"
    if not (output / HEADER).is_file():
        write_text(output / HEADER, text)
    found = _header_json(output)
    for key, value in json.loads(text).items():
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


def batches(items: Iterable[T], size: int, key: Callable[[T], Hashable]) -> Iterator[list[T]]:
    """Up to `size` items of one key at a time, of those that follow one another."""
    for _, group in groupby(items, key):
        while batch := list(islice(group, size)):
            yield batch


def _references(protocol: Protocol, generate: Generate) -> Callable[[Request, Tensor], Tensor]:
    """A function from a request and its pictures [N, H, W, 3] to its reference N times."""
    requests = {request.id: request for request in protocol.references}
    made = lru_cache(1)(lambda name: _generated(generate, [requests[name]]))

    def reference(request: Request, images: Tensor) -> Tensor:
        picture = made(request.reference)  # requests of one reference follow one another
        if picture.shape[1:] != images.shape[1:]:
            raise ValueError(
                f"{request.id} is {list(images.shape[1:])} and its reference {request.reference} "
                f"{list(picture.shape[1:])}: both must have one size"
            )
        return picture.expand_as(images)

    return reference


def _generated(generate: Generate, requests: Sequence[Request]) -> Tensor:
    images = layout("run_protocol", generate(requests))
    if len(images) != len(requests):
        raise ValueError(
            f"{len(requests)} pictures were asked for, from {requests[0].id} on, but "
            f"{len(images)} came"
        )
    return images


def _faces(
    estimate: Estimate | Mapping[str, Sequence[Reading]],
    images: Tensor,
    requests: Sequence[Request],
) -> list[Faces]:
    """The faces of each picture, the most confident first; None where nobody looked."""
    if isinstance(estimate, Mapping):
        return [estimate.get(request.id) for request in requests]
    finite = are_finite(images)
    shown = images[finite]
    found = iter(by_picture(estimate(shown) if len(shown) else [], len(shown)))
    return [next(found) if usable else None for usable in finite.tolist()]
