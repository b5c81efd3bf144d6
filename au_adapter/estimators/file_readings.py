"""Readings that another tool made of the pictures of a folder, found again by file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

from ..weights.downloads import sha256
from .reading import Reading
from .reading_tables import read_named

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")


@dataclass(frozen=True)
class FileReadings:
    """What a tool read in the pictures of a folder.

    name: the tool. units: the AUs that it reads. faces: picture as the tool names it -> its faces,
    the surest first. digest: SHA-256 of the table, so that runs of two tables do not mix.
    """

    name: str
    units: tuple[int, ...]
    faces: Mapping[str, list[Reading]]
    digest: str

    @classmethod
    def open(cls, table: Path, folder: Path) -> FileReadings:
        """The readings in a CSV of LibreFace, OpenFace or py-feat, see `estimators.read_table`.

        A table that numbers its pictures and names no files is of those of `folder`, in the order
        of their names. ValueError for another table, one that does not fit the folder, and one
        without any face.
        """
        names, readings = read_named(table)
        if not any(_is_picture(Path(name)) for name in names):
            names = _numbered(table, len(names), folder)
        if twice := [name for name, times in Counter(names).items() if times > 1]:
            raise ValueError(f"{table} gives {twice[0]} to two pictures: name each one's own file")
        if not readings.readings:
            raise ValueError(f"{table} shows no face in its {len(names)} pictures")
        faces: dict[str, list[Reading]] = {name: [] for name in names}
        for reading in sorted(readings.readings, key=lambda reading: -reading.confidence):
            faces[names[reading.image]].append(reading)
        units = dict.fromkeys(u for reading in readings.readings for u in reading.aus.units)
        return cls(readings.estimator, tuple(units), faces, sha256(table))

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


def picture_files(folder: Path) -> list[Path]:
    """The pictures of a folder, by name."""
    return sorted(path for path in folder.iterdir() if _is_picture(path))


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in PICTURES


def _numbered(table: Path, count: int, folder: Path) -> list[str]:
    files = picture_files(folder)
    if len(files) != count:
        raise ValueError(
            f"{table} numbers {count} pictures and {folder} has {len(files)}: let the tool read "
            "exactly that folder, in the order of its names, or give a table that names the files"
        )
    return [path.name for path in files]


def _parts(file: str) -> tuple[str, ...]:
    return PureWindowsPath(file).parts  # takes / and \ alike


def _agree(one: str, other: str) -> bool:
    parts = _parts(one), _parts(other)
    shorter = min(map(len, parts))
    return parts[0][-shorter:] == parts[1][-shorter:]
