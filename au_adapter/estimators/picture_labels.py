"""Labels by an estimator for pictures without any, as `data.LabelledFolder` reads them."""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path

from ..data.pictures import SUFFIXES, PictureError, read_picture
from ..disk import write_text
from .estimator import Estimator
from .reading import codes

LOGGER = logging.getLogger("au_adapter")


def label_pictures(reader: Estimator, pictures: Path, output: Path) -> Path:
    """Write labels.jsonl into `output`: a line for each picture in a folder and those below it that
    shows one face, not turned too far away to be read. Returns its path.

    What was read of a folder is kept, so that a stopped run goes on. ValueError where no picture
    shows one face.
    """
    parts = output / f"readings-{reader.name}"
    parts.mkdir(parents=True, exist_ok=True)
    files = [p for p in pictures.rglob("*") if p.suffix.lower() in SUFFIXES and p.name[0] != "."]
    lines = []
    for folder in sorted({file.parent for file in files}):
        own = sorted(file for file in files if file.parent == folder)
        part = parts / f"{_state(own)}.jsonl"
        if not part.exists():
            found = [_line(reader, file, pictures) for file in own]
            write_text(part, "".join(found))
            read = sum(map(bool, found))
            LOGGER.info("%s: %d of %d pictures show one face", folder, read, len(own))
        lines.append(part.read_text(encoding="utf-8"))
    if not any(lines):
        raise ValueError(f"none of {len(files)} pictures in {pictures} shows one face")
    write_text(output / "labels.jsonl", "".join(lines))
    return output / "labels.jsonl"


def _state(files: list[Path]) -> str:
    """16 hex digits of which files there are, how large they are and when they were written."""
    state = [(str(f), f.stat().st_size, f.stat().st_mtime_ns) for f in files]
    return hashlib.sha256(json.dumps(state).encode()).hexdigest()[:16]


def _line(reader: Estimator, file: Path, pictures: Path) -> str:
    """A line of JSON; empty for a picture that does not show one face."""
    try:
        readings = reader.estimate(read_picture(file))
    except PictureError as error:
        LOGGER.warning("%s: it is left out", error)
        return ""
    if len(readings) != 1 or readings[0].turned:
        return ""
    name = file.relative_to(pictures).as_posix()
    return json.dumps({"file": name, "aus": codes(readings[0].aus)}) + "\n"
