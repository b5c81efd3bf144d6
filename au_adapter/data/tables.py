"""Tables as people and tools write them: text in UTF-8. What does not fit is named by its line."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO


@contextmanager
def opened(table: Path) -> Iterator[TextIO]:
    """The text of a table, with or without the mark that Windows puts before it.

    ValueError with the line and what to do, where it is in another encoding.
    """
    try:
        with table.open(newline="", encoding="utf-8-sig") as text:
            yield text
    except UnicodeDecodeError as error:
        number, line = _undecodable(table)
        raise ValueError(
            f"line {number} of {table} is not in UTF-8: {line!r}. Save the table as UTF-8 (in "
            "Excel as 'CSV UTF-8'; in a shell: iconv -f WINDOWS-1252 -t UTF-8 OLD.csv > NEW.csv)"
        ) from error


def _undecodable(table: Path) -> tuple[int, bytes]:
    """Number and beginning of the first line that is not UTF-8."""
    with table.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return number, line.rstrip()[:80]
    return 1, b""


def read_header(table: Path) -> list[str]:
    """The columns of a CSV; none of an empty one."""
    with opened(table) as text:
        return next(csv.reader(text), [])


def read_csv(table: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Where each row stands, for messages, and its cells by column. ValueError for a row of another
    number of cells."""
    with opened(table) as text:
        reader = csv.DictReader(text)
        for row in reader:
            where = f"line {reader.line_num} of {table}"
            if None in row or None in row.values():
                raise ValueError(f"{where} has another number of cells than its header")
            yield where, row
