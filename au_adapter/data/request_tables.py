"""Tables of requests: a CSV whose rows ask for AUs, of pictures, prompts or photos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..facs import AUVector
from .au_columns import read_notation
from .tables import Table


@dataclass(frozen=True)
class RequestRow:
    """One row. where: "line 3 of asked.csv", for messages. cells: text by the column's name in
    small letters. aus: AU code -> intensity; an AU that is asked for at 0 is there."""

    where: str
    cells: dict[str, str]
    aus: dict[str, float]


def read_requests(
    path: Path, columns: Sequence[str] = ("file", "aus"), once: str = ""
) -> list[RequestRow]:
    """The rows of a CSV with at least these columns, aus (FACS notation) among them.

    once: a column that names something else in each row. Raises ValueError, naming the line, for a
    row that does not fit the header, has nothing in `columns` other than aus, repeats what stands
    in `once`, or asks for AUs that cannot be read.
    """
    table = Table(path)
    if missing := [name for name in columns if table.column(name) is None]:
        raise ValueError(
            f"{path} needs the columns {' and '.join(columns)}, aus such as 6C+12D, and has no "
            f"{' and no '.join(missing)}; found {', '.join(table.header) or 'nothing'}"
        )
    found, seen = [], {}
    for row in table:
        cells = {name.lower(): cell for name, cell in row.cells.items()}
        if empty := [name for name in columns if name != "aus" and not cells[name]]:
            raise ValueError(f"{row.where} has nothing in its column {empty[0]}")
        if once and (first := seen.setdefault(cells[once], row.where)) != row.where:
            raise ValueError(f"{row.where} lists {cells[once]} again, after {first}: keep one")
        asked = read_notation(cells["aus"], "aus", row.where)
        zeros = {code: value for code, value in asked.items() if not value}
        found.append(RequestRow(row.where, cells, {**zeros, **AUVector.from_dict(asked).dict()}))
    if not found:
        raise ValueError(f"{path} has no rows: fill its columns below the header")
    return found
