"""A folder of pictures and a table: CSV or JSON lines of file, caption, AUs in many spellings."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from ..facs import AUVector
from .labels import Columns, find_columns, read_values
from .source import LABEL_STEPS, PICTURE_STEPS, Alone, Face, Step
from .tables import opened, read_csv, read_header

PICTURE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}


class FolderSource:
    """Pictures in a folder, labelled by a table.

    table: a CSV in one of LABEL_FORMATS; a file of JSON lines, each an object with "file", "aus"
    ({"12": 3, "L4": 1}) or "notation" ("6C+12D"), and "caption"; or a folder of CSV files, each
    named as the picture that it labels (OpenFace writes those). What else a JSON line holds, such
    as "subject", stays in the label. header: the columns of a CSV, else None.
    """

    def __init__(self, pictures: str | Path, table: str | Path, form: str = "plain"):
        """Raises FileNotFoundError without folder or table; ValueError, with the columns that are
        there, when those of the format are missing."""
        self.pictures, self.table, self.form = Path(pictures), Path(table), form
        if not self.pictures.is_dir():
            raise FileNotFoundError(f"there is no folder of pictures {self.pictures}")
        if not self.table.exists():
            raise FileNotFoundError(f"there is no table of labels {self.table}")
        self.settings = {"source": "folder", "table": self.table.name, "format": form}
        self.header = read_header(self.table) if self._is_csv() else None
        self.steps: tuple[Step, ...] = (Alone(self._repeated()), *LABEL_STEPS, *PICTURE_STEPS)

    def faces(self) -> Iterator[Face]:
        """Every row of the table, in its order."""
        if self.table.is_dir():
            yield from self._table_for_each()
        elif self._is_csv():
            yield from self._rows()
        else:
            yield from self._lines()

    def rows(self) -> Iterator[tuple[str, dict[str, str], Columns]]:
        """Where each row of the CSV stands, its cells, and its columns."""
        columns = find_columns(self.header, self.form, str(self.table))
        for where, row in read_csv(self.table):
            yield where, row, columns

    def file_of(self, row: Mapping[str, str], columns: Columns, listing: list[Path]) -> Path:
        """The picture of a row: by name, else by the number of its frame."""
        if columns.file is not None:
            return self.pictures / row[columns.file].strip().replace("\\", "/")
        number = int(float(row[columns.frame])) - columns.form.first_frame
        if not 0 <= number < len(listing):
            raise ValueError(
                f"{self.table} has frame {row[columns.frame]}, but {self.pictures} holds "
                f"{len(listing)} pictures: name the folder that was analysed"
            )
        return listing[number]

    def _rows(self) -> Iterator[Face]:
        listing = pictures_of(self.pictures)
        for where, row, columns in self.rows():
            file = self.file_of(row, columns, listing)
            caption = (row[columns.caption] or "").strip() if columns.caption else ""
            yield Face(file, read_values(row, columns, where), caption)

    def _table_for_each(self) -> Iterator[Face]:
        for file, rows in self._tables():
            if not rows:
                yield Face(file, None)
                continue
            where, row = rows[0]
            columns = find_columns([*row, "file"], self.form, f"the table of {file.name}")
            yield Face(file, read_values(row, columns, where))

    def _tables(self) -> Iterator[tuple[Path, list[tuple[str, dict[str, str]]]]]:
        """Each picture and the rows of the CSV named as it, see `read_csv`; none without a CSV."""
        for file in pictures_of(self.pictures):
            table = self.table / f"{file.stem}.csv"
            yield file, list(read_csv(table)) if table.is_file() else []

    def _lines(self) -> Iterator[Face]:
        with opened(self.table) as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield self._line(line, number)

    def _line(self, line: str, number: int) -> Face:
        try:
            about = json.loads(line)
            file, caption = about.pop("file"), about.pop("caption", None)
            caption = "" if caption is None else caption
            if not isinstance(file, str) or not isinstance(caption, str):
                raise TypeError("file and caption are text")
            aus, notation = about.pop("aus", None), about.pop("notation", None)
            vector = AUVector.parse(notation) if aus is None else AUVector.from_dict(aus)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(
                f'line {number} of {self.table} is not an object with "file" and "aus" or '
                f'"notation" ({type(error).__name__}: {error})'
            ) from error
        return Face(self.pictures / file, vector.dict(zeros=True), caption, about)

    def _repeated(self) -> set[Path]:
        """Pictures with several rows, as tools write them for several faces."""
        if self.table.is_dir():
            counts = Counter({file: len(rows) for file, rows in self._tables()})
        elif self._is_csv():
            listing = pictures_of(self.pictures)
            counts = Counter(self.file_of(row, columns, listing) for _, row, columns in self.rows())
        else:
            counts = Counter(face.file for face in self._lines())
        return {file for file, count in counts.items() if count > 1}

    def _is_csv(self) -> bool:
        return self.table.is_file() and self.table.suffix.lower() not in (".jsonl", ".json")


def pictures_of(folder: Path) -> list[Path]:
    """The pictures directly in a folder, by name."""
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in PICTURE_SUFFIXES)
