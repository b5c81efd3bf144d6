"""Tables of pictures and the AUs that each was asked for, or is labelled with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..facs import AUVector
from .au_columns import read_notation
from .tables import Table


@dataclass(frozen=True)
class RequestedPicture:
    """A row. file: as the table names the picture. aus: AU code -> intensity; an AU that is asked
    for at 0 is there. source: the photo that it was made from, subject: the person; may be empty.
    """

    file: str
    aus: dict[str, float]
    source: str = ""
    subject: str = ""


def read_requests(path: Path, *needed: str) -> list[RequestedPicture]:
    """The rows of a CSV with at least the columns file and aus (FACS notation), and those `needed`.

    Raises ValueError, naming the line, for a row that does not fit the header, names no picture, or
    one that stands in another row, and for AUs that cannot be read.
    """
    table, seen, found = Table(path), {}, []
    columns = {name: table.column(name) for name in ("file", "aus", "source", "subject")}
    if missing := [name for name in ("file", "aus", *needed) if columns[name] is None]:
        raise ValueError(
            f"{path} needs the columns file and aus, such as smile.png and 6C+12D, and has no "
            f"{' and no '.join(missing)}; found {', '.join(table.header) or 'nothing'}"
        )
    for row in table:
        cells = {name: row.cells[column] for name, column in columns.items() if column}
        if not cells["file"]:
            raise ValueError(f"{row.where} names no picture in its column {columns['file']}")
        if (first := seen.setdefault(cells["file"], row.where)) != row.where:
            raise ValueError(f"{row.where} lists {cells['file']} again, after {first}: keep one")
        asked = read_notation(cells.pop("aus"), columns["aus"], row.where)
        zeros = {code: value for code, value in asked.items() if not value}
        found.append(RequestedPicture(aus={**zeros, **AUVector.from_dict(asked).dict()}, **cells))
    if not found:
        raise ValueError(f"{path} has no rows: name pictures and their AUs below its header")
    return found
