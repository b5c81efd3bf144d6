"""Files of a run that a cut may not harm: rows of a log, folders that replace one another."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path


def append_row(path: Path, row: dict) -> None:
    """Add a line of JSON to a file, in the place of a last one that was cut off."""
    _drop_cut_line(path)
    with path.open("a", encoding="utf-8") as log:
        log.write(json.dumps(row) + "\n")


def _drop_cut_line(path: Path) -> None:
    """Take away what stands after the last end of a line: a full disk or a kill left it."""
    if not path.exists() or not path.stat().st_size:
        return
    with path.open("rb+") as log:
        log.seek(-1, os.SEEK_END)
        if log.read() != b"\n":
            log.seek(0)
            log.truncate(log.read().rfind(b"\n") + 1)


def replace_folder(fresh: Path, folder: Path) -> None:
    """Put fresh in the place of folder. At every moment one of the two is whole on the disk.

    A cut between the two renames leaves the old one as <name>.previous; see restore_folder.
    """
    previous = _previous(folder)
    if folder.exists():
        shutil.rmtree(previous, ignore_errors=True)
        os.replace(folder, previous)
    os.replace(fresh, folder)
    shutil.rmtree(previous, ignore_errors=True)


def restore_folder(folder: Path) -> None:
    """Undo a replace_folder that was cut off between its two renames."""
    if not folder.exists() and _previous(folder).exists():
        os.replace(_previous(folder), folder)


def _previous(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.previous")
