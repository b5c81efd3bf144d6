"""Readings out of the files that other estimators write: LibreFace, OpenFace 2.2 and py-feat.

Their weights have terms of their own and are not used here; who has run them gives the CSV.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PureWindowsPath

import torch

from ..data import au_columns
from ..data.au_columns import READING_TOOLS, Columns
from ..data.pictures import PictureFolder
from ..data.tables import Table, TableRow, read_flag, read_number
from ..facs import AUVector
from ..weights.downloads import sha256
from .reading import Reading, ReadingSet

LOGGER = logging.getLogger("au_adapter")
HIGHEST = 5.001  # rounding of the tools included
BEYOND = 0.5  # how far outside 0..5 a tool's regression goes; further out is another scale
MOST_FRAMES = 10_000_000  # of a table that numbers its pictures


def read_table(path: str | Path) -> ReadingSet:
    """The Readings in a CSV file of LibreFace, OpenFace or py-feat, told apart by its columns.

    A picture is a name in one of the tool's columns, in the order of the file; where no column
    names pictures, it is a frame, and its number minus the smallest is the picture's index. Rows
    without a face give no Reading, nor do rows in which a number is missing or a little out of
    range; the log counts those. Where a tool gives no box or confidence, the box is 0 0 0 0 and the
    confidence 1. Raises ValueError, naming the line, for another kind of file, for text among
    numbers, and for numbers that no such tool gives.
    """
    found = read_faces(path)
    indices = {picture: index for index, picture in enumerate(found.faces)}
    if found.first_frame is not None and indices:
        low, high = min(indices), max(indices)
        if high - low >= MOST_FRAMES:
            raise ValueError(f"{path} has frames from {low} to {high}: are they times?")
        indices = {frame: frame - low for frame in range(low, high + 1)}
    readings = (
        replace(reading, image=index)
        for picture, index in indices.items()
        for reading in found.faces.get(picture, ())
    )
    return ReadingSet(found.name, len(indices), tuple(readings))


def read_faces(path: str | Path) -> FileReadings:
    """What `read_table` reads, by picture or frame, in the order of the table."""
    table = Table(path)
    tool = au_columns.find_tool(table.header, str(path))
    columns = au_columns.find_columns(table.header, tool, str(path))
    column, numbered = au_columns.picture_column(table, columns)
    pictures: dict[str | int, list[Reading]] = {}
    also = next(iter(columns.files), None) if numbered else columns.frame
    others: dict[str, str] = {}
    unread: list[str] = []

    def numbers(row: TableRow, names: Sequence[str]) -> list[float]:
        return [read_number(row.cells[name], name, row.where) for name in names]

    for row in table:
        cell = row.cells[column]
        if not cell:
            raise ValueError(f"{row.where} names no picture in its column {column}")
        if also:
            other = row.cells[also]
            if others.setdefault(cell, other) != other:
                raise ValueError(
                    f"{row.where} gives {cell} to two pictures, {also} {others[cell]} and {other}: "
                    "name each one's own file"
                )
        picture = au_columns.read_frame(cell, column, row.where) if numbered else cell
        faces = pictures.setdefault(picture, [])
        aus, trouble = _aus(row, columns, READING_TOOLS[tool])
        (confidence,) = numbers(row, [columns.confidence]) if columns.confidence else (1.0,)
        x, y, width, height = numbers(row, columns.box) if columns.box else (0.0,) * 4
        box = (x, y, x + width, y + height)
        if aus is not None and not math.isfinite(sum((confidence, *box))):
            aus, trouble = None, "its confidence or box is missing"
        if aus is not None:
            faces.append(Reading(0, len(faces), box, confidence, aus))
        elif trouble:
            unread.append(f"{row.where}: {trouble}")
    if unread:
        LOGGER.warning(
            "%d rows of %s are not read, as if they showed no face, such as %s",
            len(unread), path, unread[0],
        )  # fmt: skip
    units = tuple(int(code) for code in columns.aus.values())
    first = columns.form.first_frame if numbered else None
    return FileReadings(READING_TOOLS[tool], units, pictures, sha256(path), first)


@dataclass(frozen=True)
class FileReadings:
    """What a tool read in some pictures.

    name: the tool. units: AUs that it reads. faces: picture as the tool names it, or the number of
    its frame -> its faces, all of image 0. digest: SHA-256 of the table, so that runs of two tables
    do not mix. first_frame: the number that the tool gives to the first, None for names.
    """

    name: str
    units: tuple[int, ...]
    faces: Mapping[str | int, list[Reading]]
    digest: str
    first_frame: int | None = None

    @classmethod
    def open(cls, table: Path, folder: Path) -> FileReadings:
        """The readings in a CSV of LibreFace, OpenFace or py-feat, see `estimators.read_table`, of
        each picture the most confident first.

        Where the table names no pictures, its frame numbers count those of `folder`, in the order
        of their names. ValueError for another table, one that does not fit the folder, and one
        without any face.
        """
        found = read_faces(table)
        if not any(found.faces.values()):
            raise ValueError(f"{table} shows no face in its {len(found.faces)} pictures")
        faces = {
            name: sorted(readings, key=lambda reading: -reading.confidence)
            for name, readings in found.faces.items()
        }
        if found.first_frame is not None:
            pictures = PictureFolder(folder)
            first = pictures.first_frame(list(faces), found.first_frame, table)
            faces = {pictures.files[frame - first].name: faces[frame] for frame in faces}
        return replace(found, faces=faces, first_frame=None)

    def of(self, files: Mapping[str, str]) -> dict[str, list[Reading]]:
        """Row id -> its faces, from row id -> picture file. Paths agree where the shorter ends the
        longer, so that a folder may have moved. Pictures that the tool did not see are left out.
        ValueError where two of the tool's are meant."""
        ends: dict[str, list[str]] = {}
        for name in self.faces:
            ends.setdefault(_parts(name)[-1], []).append(name)
        found = {}
        for row, file in files.items():
            same = [name for name in ends.get(_parts(file)[-1], ()) if _agree(name, file)]
            if len(same) > 1:
                raise ValueError(
                    f"{self.name} read two pictures that may be {file}: {', '.join(same[:2])}"
                )
            if same:
                found[row] = self.faces[same[0]]
        return found


def _parts(file: str) -> tuple[str, ...]:
    return PureWindowsPath(file).parts or ("",)  # takes / and \ alike


def _agree(one: str, other: str) -> bool:
    parts = _parts(one), _parts(other)
    shorter = min(map(len, parts))
    return parts[0][-shorter:] == parts[1][-shorter:]


def _aus(row: TableRow, columns: Columns, tool: str) -> tuple[AUVector | None, str]:
    """The row's AUs; without them, why they are not read, or "" where the tool found no face."""
    if columns.success and not read_flag(row.cells[columns.success], columns.success, row.where):
        return None, ""
    texts = {int(code): row.cells[name] for name, code in columns.aus.items()}
    numbers = {unit: read_number(text, f"AU{unit}", row.where) for unit, text in texts.items()}
    if missing := [unit for unit, number in numbers.items() if math.isnan(number)]:
        no_face = all(text.lower() in ("", "nan") for text in texts.values())
        return None, "" if no_face else f"AU{missing[0]} is {texts[missing[0]]!r}"
    values = torch.tensor([list(numbers.values())]) * columns.form.scale
    for unit, value in zip(numbers, values[0].tolist(), strict=True):
        if not 0 <= value <= HIGHEST:
            trouble = f"AU{unit} is {texts[unit]}; {tool} gives 0..{5 / columns.form.scale:g}"
            if not -BEYOND <= value <= 5 + BEYOND:
                raise ValueError(f"{row.where}: {trouble}")
            return None, trouble
    return AUVector(tuple(numbers), values), ""
