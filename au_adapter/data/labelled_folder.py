"""A folder of pictures and a table: CSV or JSON lines of file, caption, AUs in many spellings."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..facs import AUVector
from .au_columns import find_columns, picture_column, read_frame, read_values
from .face_source import LABEL_STEPS, PICTURE_STEPS, LabelledFace, Step
from .pictures import PictureFolder
from .tables import Table, TableRow, open_text


class LabelledFolder:
    """Pictures in a folder, labelled by a table.

    table: a CSV in one of TABLE_FORMATS; a file of JSON lines, each an object with "file", "aus"
    ({"12": 3, "L4": 1}) or "notation" ("6C+12D"), and "caption"; or a folder of CSV files, each
    named as the picture that it labels (OpenFace writes those). What else a JSON line holds, such
    as "subject", stays in the label. csv: the table where it is one CSV, else None.
    """

    def __init__(
        self, pictures: str | Path, table: str | Path, form: str = "plain", kept: Sequence[str] = ()
    ):
        """kept: columns of a CSV, in small letters, that the labels keep where it has them.

        Raises FileNotFoundError without folder or table; ValueError, with the columns that are
        there, when those of the format are missing, and for a row that cannot be read."""
        self.pictures, self.table, self.form = PictureFolder(pictures), Path(table), form
        if not self.table.exists():
            raise FileNotFoundError(f"there is no table of labels {self.table}")
        self.settings = {"source": "folder", "table": self.table.name, "format": form}
        lines = self.table.is_dir() or self.table.suffix.lower() in (".jsonl", ".json")
        self.csv = None if lines else Table(self.table)
        if self.csv is not None:
            self.columns = find_columns(self.csv.header, form, str(self.table))
            self.column, self.numbered = picture_column(self.csv, self.columns)
            frames = list(map(self._frame, self.csv)) if self.numbered else []
            first = self.columns.form.first_frame
            self.first = self.pictures.first_frame(frames, first, self.table) if frames else first
            self.kept = [name for name in self.csv.header if name.strip().lower() in kept]
        repeated = self._repeated()
        # Several faces, and no telling which one a row means.
        alone = Step("several rows for one picture", lambda face: face.file not in repeated)
        self.steps = (alone, *LABEL_STEPS, *PICTURE_STEPS)

    def faces(self, about: Sequence[str] = ()) -> Iterator[LabelledFace]:
        """Every row of the table, in its order. about: columns of a CSV that each face keeps beside
        `kept`, by their names in small letters."""
        if self.csv is not None:
            for row in self.csv:
                names = (*self.kept, *about)
                yield self._face(row, {n.strip().lower(): row.cells[n] for n in names})
        elif self.table.is_dir():
            yield from map(self._from_its_own_table, self.pictures.files)
        else:
            with open_text(self.table) as lines:
                for number, line in enumerate(lines, 1):
                    if line.strip():
                        yield self._from_json(line, f"line {number} of {self.table}")

    def _face(self, row: TableRow, about: dict[str, object]) -> LabelledFace:
        name = row.cells[self.column]
        if self.numbered:
            name = self.pictures.files[self._frame(row) - self.first].name
        caption = row.cells[self.columns.caption] if self.columns.caption else ""
        aus = read_values(row.cells, self.columns, row.where)
        return LabelledFace(self.pictures.file(name, row.where), aus, caption, about)

    def _frame(self, row: TableRow) -> int:
        return read_frame(row.cells[self.column], self.column, row.where)

    def _repeated(self) -> set[Path]:
        """Pictures with several rows, as tools write them for several faces."""
        if self.table.is_dir():
            return {file for file in self.pictures.files if len(self._own_rows(file)) > 1}
        counts = Counter(face.file for face in self.faces())
        return {file for file, count in counts.items() if count > 1}

    def _own_rows(self, picture: Path) -> list[TableRow]:
        table = self.table / f"{picture.stem}.csv"
        return list(Table(table)) if table.is_file() else []

    def _from_its_own_table(self, picture: Path) -> LabelledFace:
        """The face of a picture by the CSV named as it; without one, it has no label."""
        rows, aus = self._own_rows(picture), None
        if rows:
            header = [*rows[0].cells, "file"]
            columns = find_columns(header, self.form, f"the table of {picture.name}")
            aus = read_values(rows[0].cells, columns, rows[0].where)
        return LabelledFace(self.pictures.file(picture.name, str(self.table)), aus)

    def _from_json(self, line: str, where: str) -> LabelledFace:
        try:
            about = json.loads(line)
            file, caption = about.pop("file"), about.pop("caption", None)
            caption = "" if caption is None else caption
            if not isinstance(file, str) or not isinstance(caption, str):
                raise TypeError("file and caption are text")
            aus, notation = about.pop("aus", None), about.pop("notation", None)
            vector = AUVector.parse(notation) if aus is None else AUVector.from_dict(aus)
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            raise ValueError(
                f'{where} is not an object with "file" and "aus" or "notation" '
                f"({type(error).__name__}: {error})"
            ) from error
        return LabelledFace(
            self.pictures.file(file, where), vector.dict(zeros=True), caption, about
        )
