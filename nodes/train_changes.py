"""Decides whether ComfyUI may reuse the cached output of Train AU-Adapter."""

from __future__ import annotations

import hashlib
import os
import uuid
from contextlib import suppress
from pathlib import Path

from au_adapter.data.shards import PATTERN

from .train_files import missing_file
from .train_request import RUNS, faces_folder, run_folder


def fingerprint(data: str | None, name: str | None, existing_run: str | None) -> str:
    """Equal where a run would do nothing: "go on" with the same faces, while the written file is
    there. Always new for "begin again", and for an input that is None: ComfyUI asks before the node
    that provides it has run.
    """
    if None in (data, name, existing_run) or existing_run == RUNS[1]:
        return uuid.uuid4().hex
    return f"{files_state(faces_folder(data))} {missing_file(run_folder(name))}"


def files_state(folder: Path) -> str:
    """A digest of the names, sizes and times of a folder's files, none of which is opened.

    In a folder of shards only they count: a training keeps a cache beside them.
    """
    walk = (Path(parent, name) for parent, _, names in os.walk(folder) for name in names)
    digest = hashlib.sha256()
    for path in sorted(folder.glob(PATTERN)) or sorted(walk):
        with suppress(FileNotFoundError):  # deleted meanwhile, or a broken link
            found = path.stat()
            digest.update(os.fsencode(path.relative_to(folder)))
            digest.update(f"\0{found.st_size}\0{found.st_mtime_ns}\0".encode())
    return digest.hexdigest()
