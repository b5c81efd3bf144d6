"""Readings that another tool made of the pictures of a folder, found again by file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

from ..data.pictures import PictureFolder
from ..weights.downloads import sha256
from .reading import Reading
from .reading_tables import read_faces


@dataclass(frozen=True)
class FileReadings:
    """What a tool read in the pictures of a folder.

    name: the tool. units: the AUs that it reads. faces: picture as the tool names it -> its faces,
    the most confident first. digest: SHA-256 of the table, so that runs of two tables do not mix.
    """

    name: str
    units: tuple[int, ...]
    faces: Mapping[str, list[Reading]]
    digest: str

    @classmethod
    def open(cls, table: Path, folder: Path) -> FileReadings:
        """The readings in a CSV of LibreFace, OpenFace or py-feat, see `estimators.read_table`.

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
        return cls(found.estimator, found.units, faces, sha256(table))

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
