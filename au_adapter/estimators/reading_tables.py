"""Readings out of the files that other estimators write: LibreFace, OpenFace 2.2 and py-feat.

Their weights have terms of their own and are not used here; who has run them gives the CSV.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from ..facs import AUVector
from ..facs.units import scorable
from .reading import Reading, ReadingSet


@dataclass(frozen=True)
class Layout:
    """How one tool names its columns. unit: a pattern whose first group is the AU's number. scale:
    what makes its numbers intensities 0..5. picture, box: columns; confidence likewise."""

    estimator: str
    unit: re.Pattern[str]
    scale: float
    picture: tuple[str, ...]
    box: tuple[str, ...] = ()
    confidence: str = ""


LAYOUTS = (
    # Intensities 0..5 of the 12 AUs of set A; presence (au_12) is another model's and not read.
    Layout(
        "LibreFace",
        re.compile(r"au_(\d+)_intensity"),
        1.0,
        ("frame_idx", "image_path", "path", "frame"),
    ),
    # Intensities 0..5 of 17 AUs, of which AU45, a movement, is left out.
    Layout("OpenFace", re.compile(r"AU(\d+)_r"), 1.0, ("frame", "image"), confidence="confidence"),
    # Probabilities 0..1 that an AU is there, which is another thing than its intensity.
    Layout(
        "py-feat (probability x 5)",
        re.compile(r"AU(\d+)"),
        5.0,
        ("frame", "input"),
        ("FaceRectX", "FaceRectY", "FaceRectWidth", "FaceRectHeight"),
        "FaceScore",
    ),
)
MOVEMENTS = ("45", "46")
FILES = ("image_path", "path", "image", "input")  # columns of a picture that hold its file


def read_table(path: str | Path) -> ReadingSet:
    """The Readings in a CSV file of LibreFace, OpenFace or py-feat, told apart by its columns.

    A picture is one value of the tool's column of frames or files, in the order of the file; a tool
    that has none gives one picture a row. Rows without numbers (no face) give no Reading. Where a
    tool gives no box or confidence, the box is 0 0 0 0 and the confidence 1. Raises ValueError,
    naming the line, for another kind of file and for numbers that no such tool gives.
    """
    return read_named(path)[1]


def read_named(path: str | Path) -> tuple[list[str], ReadingSet]:
    """What `read_table` reads, after the name of each picture: its file, or, where the tool names
    none, its frame, or the line."""
    with Path(path).open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file, skipinitialspace=True)
        names = [name.strip() for name in reader.fieldnames or ()]
        rows = [dict(zip(names, row.values(), strict=False)) for row in reader]
    layout, units = _layout(names, path)
    pictures: dict[str, int] = {}
    files: dict[str, str] = {}
    faces: dict[int, int] = {}
    readings = []
    for line, row in enumerate(rows, start=2):
        name, where = _picture(row, layout, line), f"{path}, line {line}"
        picture = pictures.setdefault(name, len(pictures))
        files.setdefault(name, next((row[c] for c in FILES if row.get(c)), name))
        values = _values(row, units, layout, where)
        if values is not None:
            face = faces[picture] = faces.get(picture, -1) + 1
            box, confidence = (of(row, layout, where) for of in (_box, _confidence))
            readings.append(Reading(picture, face, box, confidence, values))
    readings.sort(key=lambda reading: reading.image)
    return list(files.values()), ReadingSet(layout.estimator, len(pictures), tuple(readings))


def _layout(names: list[str], path: str | Path) -> tuple[Layout, dict[str, int]]:
    """The tool that has these columns, and the AU of each of its columns."""
    for layout in LAYOUTS:
        matches = {name: layout.unit.fullmatch(name) for name in names}
        units = {name: match[1] for name, match in matches.items() if match}
        if units:
            kept = {name: number for name, number in units.items() if number not in MOVEMENTS}
            return layout, {name: scorable(int(number)) for name, number in kept.items()}
    raise ValueError(
        f"{path} has no columns of AUs as LibreFace (au_12_intensity), OpenFace (AU12_r) or "
        f"py-feat (AU12) name them; found {', '.join(names[:5]) or 'nothing'}"
    )


def _picture(row: Mapping[str, str], layout: Layout, line: int) -> str:
    present = [name for name in layout.picture if name in row]
    return row[present[0]] if present else str(line)


def _values(
    row: Mapping[str, str], units: Mapping[str, int], layout: Layout, where: str
) -> AUVector | None:
    """The row's AUs, or None where the tool found no face."""
    texts = {unit: (row.get(name) or "").strip() for name, unit in units.items()}
    if row.get("success", "1").strip() == "0" or all(
        t.lower() in ("", "nan") for t in texts.values()
    ):
        return None
    numbers = {}
    for unit, text in texts.items():
        numbers[unit] = _number(text, f"AU{unit}", where) * layout.scale
        if not 0 <= numbers[unit] <= 5.001:  # NaN is refused too
            raise ValueError(
                f"{where}: AU{unit} is {text}; {layout.estimator} gives 0..{5 / layout.scale:g}"
            )
    return AUVector(tuple(numbers), torch.tensor([list(numbers.values())]))


def _number(text: str | None, column: str, where: str) -> float:
    try:
        return float(text or "")
    except ValueError as error:
        raise ValueError(f"{where}: {column} is '{text or ''}', expected a number") from error


def _box(row: Mapping[str, str], layout: Layout, where: str) -> tuple[float, float, float, float]:
    if not all(name in row for name in layout.box) or not layout.box:
        return (0.0, 0.0, 0.0, 0.0)
    x, y, width, height = (_number(row[name], name, where) for name in layout.box)
    return (x, y, x + width, y + height)


def _confidence(row: Mapping[str, str], layout: Layout, where: str) -> float:
    column = layout.confidence
    return _number(row[column], column, where) if column in row else 1.0
