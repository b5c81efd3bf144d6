"""Tables as people and tools write them: a file in, rows out. What does not fit is named by line.

Read are CSV files in UTF-8 or in UTF-16 with its mark, of cells between commas, semicolons or tabs,
as the header has them. A column without a name is as if it were not there.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

# What stands for a number that is not there, and how tools print one that is none.
_MISSING = re.compile(
    r"|-+|\?|n/?a|none|null|[+-]?(nan(\(\w*\))?|inf(inity)?|1\.#(q?nan|ind|inf)\w*)", re.IGNORECASE
)
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?", re.IGNORECASE)
_TRUE, _FALSE = ("true", "t", "yes", "y"), ("false", "f", "no", "n")
_MARKS = {  # UTF-32 begins as UTF-16 does
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


@dataclass(frozen=True)
class TableRow:
    """One row. where: "line 3 of labels.csv", for messages. cells: text by the column's name."""

    where: str
    cells: dict[str, str]


class Table:
    """The header of a CSV file, and its rows as often as they are asked for. Nothing is kept."""

    def __init__(self, path: str | Path):
        """Raises FileNotFoundError without the file; ValueError for a folder, another encoding, or
        a column that is there twice."""
        self.path = Path(path)
        self._names = next(self._lines(), (1, []))[1]
        self.header = [name for name in self._names if name]
        if twice := [name for name in self.header if self.header.count(name) > 1]:
            raise ValueError(f"{self.path} has the column {twice[0]!r} twice: keep one")

    def __iter__(self) -> Iterator[TableRow]:
        """The rows; those without any text are passed over. ValueError for a row of another number
        of cells than the header, and for a quote that is not closed."""
        lines = self._lines()
        next(lines, None)
        for number, cells in lines:
            where = f"line {number} of {self.path}"
            if any(cells) or len(cells) == 1:
                row = zip(self._names, self._fitted(cells, where), strict=False)
                yield TableRow(where, {name: cell for name, cell in row if name})

    def column(self, *names: str) -> str | None:
        """The first column of some names, in small letters; the header may write them otherwise."""
        known = {name.lower(): name for name in reversed(self.header)}
        return next((known[name] for name in names if name in known), None)

    def _fitted(self, cells: list[str], where: str) -> list[str]:
        """The cells of a row that has as many as the header, give or take blank ones at the end."""
        named, expected = len(_without_blanks(self._names)), len(self._names)
        found = len(cells)
        if found > expected == named:  # a comma too many
            found = max(expected, len(_without_blanks(cells)))
        if not named <= found <= expected:
            advice = (
                "complete the line, which was cut off"
                if len(cells) < named
                else "write decimals with a point, and put quotes around a cell that holds the "
                "delimiter"
            )
            raise ValueError(
                f"{where} has {len(cells)} cell{'s' * (len(cells) > 1)}, and the header {named}: "
                f"{advice}"
            )
        return cells

    def _lines(self) -> Iterator[tuple[int, list[str]]]:
        """Number and cells of each line that is not blank, from the header on."""
        number = 1
        with open_text(self.path) as text:
            reader = csv.reader(
                _whole(text, self.path),
                delimiter=self._delimiter(),
                skipinitialspace=True,
                strict=True,
            )
            try:
                for cells in reader:
                    if cells:
                        yield number, [cell.strip() for cell in cells]
                    number = reader.line_num + 1
            except csv.Error as error:
                raise ValueError(
                    f"line {number} of {self.path} has quotes that do not close or stand inside a "
                    f'cell ({error}): put a cell in quotes as a whole, and write " in it twice'
                ) from error

    def _delimiter(self) -> str:
        with open_text(self.path) as text:
            header = next(filter(str.strip, text), "")
        semicolon = ";" in header and "," not in header
        return "\t" if "\t" in header else ";" if semicolon else ","


@contextmanager
def open_text(path: Path) -> Iterator[TextIO]:
    """The text of a file, without the mark of its encoding.

    ValueError with the line and what to do, where it is not in UTF-8, nor marked as UTF-16.
    """
    if path.is_dir():
        raise ValueError(f"{path} is a folder: name a table in it")
    if not path.exists():
        raise FileNotFoundError(f"there is no table {path}")
    with path.open("rb") as file:
        start = file.read(4)
    encoding = next((name for mark, name in _MARKS.items() if start.startswith(mark)), "utf-8-sig")
    try:
        with path.open(newline="", encoding=encoding) as text:
            yield text
    except UnicodeDecodeError as error:
        number, line = _undecodable(path)
        raise ValueError(
            f"line {number} of {path} is not in UTF-8: {line!r}. Save the table as UTF-8 (in "
            "Excel as 'CSV UTF-8'; in a shell: iconv -f WINDOWS-1252 -t UTF-8 OLD.csv > NEW.csv)"
        ) from error


def read_number(cell: str, column: str, where: str) -> float:
    """A cell as a number; NaN where it is empty, NA, -nan(ind), infinite or the like. ValueError,
    naming line and column, for other text."""
    if _NUMBER.fullmatch(cell):
        return float(cell)
    if _MISSING.fullmatch(cell):
        return float("nan")
    advice = ". Write decimals with a point" if "," in cell else ""
    raise ValueError(f"{where}: {column} is {cell!r}, expected a number{advice}")


def read_flag(cell: str, column: str, where: str) -> bool:
    """Whether a cell says yes: 1, 1.0, True, yes; not 0, 0.0, False, no or nothing. ValueError,
    naming line and column, for other text."""
    if cell.lower() in (*_TRUE, *_FALSE):
        return cell.lower() in _TRUE
    return read_number(cell, column, where) > 0


def spreadsheet_text(text: str) -> str:
    """Text for a cell of a CSV, as no spreadsheet takes it for a formula: =1+2.png as '=1+2.png."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _without_blanks(cells: list[str]) -> list[str]:
    """The cells up to the last that is not blank."""
    return cells[: max((i for i, cell in enumerate(cells, 1) if cell), default=0)]


def _whole(text: TextIO, path: Path) -> Iterator[str]:
    for number, line in enumerate(text, 1):
        if "\0" in line:
            raise ValueError(
                f"line {number} of {path} holds zero bytes: it is damaged, or in UTF-16 without "
                "the mark that says so. Save the table as UTF-8"
            )
        yield line


def _undecodable(table: Path) -> tuple[int, bytes]:
    """Number and beginning of the first line that is not UTF-8."""
    with table.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return number, line.rstrip()[:80]
    return 1, b""
