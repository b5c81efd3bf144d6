"""When an output of Train AU-Adapter that ComfyUI kept is no longer true, of the same graph."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from au_adapter.data.shards import PATTERN

from .train_files import missing_file
from .train_request import RUNS, faces_folder, run_folder


def fingerprint(data: str | None, name: str | None, existing_run: str | None) -> str:
    """The same where nothing would be done: for "go on" with the same faces, as long as the file
    that was written is there. Else another; so it is each time for "begin again", and for what
    another node will say: ComfyUI asks before that node has run, and gives None.
    """
    if None in (data, name, existing_run) or existing_run == RUNS[1]:
        return uuid.uuid4().hex
    return f"{files_state(faces_folder(data))} {missing_file(run_folder(name))}"


def files_state(folder: Path) -> str:
    """A digest of the names, sizes and times of a folder's files, none of which is opened.

    Of shards it is theirs alone: a training keeps what it computes from them in their folder.
    """
    shards = folder.glob(PATTERN)
    digest = hashlib.sha256()
    for path in sorted(shards) or sorted(_files(folder)):
        with suppress(FileNotFoundError):  # gone meanwhile, or a link to nothing: no face either
            found = path.stat()
            digest.update(os.fsencode(path.relative_to(folder)))
            digest.update(f"\0{found.st_size}\0{found.st_mtime_ns}\0".encode())
    return digest.hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        yield from (Path(parent, name) for name in names)
