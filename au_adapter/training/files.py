"""Files of a run that a cut may not harm: rows of a log, folders that replace one another."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path


def append_row(path: Path, row: dict) -> None:
    """Add a line of JSON to a file."""
    with path.open("a", encoding="utf-8") as log:
        log.write(json.dumps(row) + "\n")


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
