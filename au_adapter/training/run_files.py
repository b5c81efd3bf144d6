"""Files of a run, written so that a crash loses nothing: logs line by line, folders by renaming."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from ..disk import damage_named, read_json

DESCRIPTION = "training.json"  # in a result folder: step, settings, data, measures


def append_row(path: Path, row: dict) -> None:
    """Append a line of JSON to a file, and drop a last line that a full disk or a kill cut off."""
    with path.open("ab+") as log:
        if log.tell():
            log.seek(-1, os.SEEK_END)
            if log.read() != b"\n":
                log.seek(0)
                log.truncate(log.read().rfind(b"\n") + 1)
        log.write(json.dumps(row).encode() + b"\n")


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a log in the order of their steps; of a step written twice, the later.

    A last line that was cut off is left out. No file: no rows.
    """
    if not path.is_file():
        return []
    with damage_named(path, "Delete it: the training goes on without it"):
        text = path.read_text(encoding="utf-8")
        rows = [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
        by_step = {int(row["step"]): row for row in rows}
        return [by_step[step] for step in sorted(by_step)]


def read_description(folder: Path) -> dict[str, Any]:
    """What is written about the weights in a result folder; empty where there are none."""
    path = folder / DESCRIPTION
    found = read_json(path) if path.is_file() else {}
    if not isinstance(found, dict):
        raise ValueError(f"{path} is damaged: expected an object. Delete its folder")
    return found


def replace_folder(fresh: Path, folder: Path) -> None:
    """Put `fresh` in the place of `folder`. At every moment one of the two is whole on the disk.

    A crash between the two renames leaves the old one as <name>.previous; see restore_folder.
    """
    previous = folder.with_name(f"{folder.name}.previous")
    if folder.exists():
        shutil.rmtree(previous, ignore_errors=True)
        os.replace(folder, previous)
    os.replace(fresh, folder)
    shutil.rmtree(previous, ignore_errors=True)


def restore_folder(folder: Path) -> None:
    """Undo a replace_folder that was cut off between its two renames."""
    previous = folder.with_name(f"{folder.name}.previous")
    if not folder.exists() and previous.exists():
        os.replace(previous, folder)
