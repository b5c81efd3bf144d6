"""Tables of requests: a CSV that says which picture is asked for which AUs."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path


def read_requests(path: Path, columns: Sequence[str] = ("file", "aus")) -> list[dict[str, str]]:
    """The rows of a CSV with at least these columns. ValueError for another table."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows or not {*columns} <= rows[0].keys():
        found = ", ".join(rows[0]) if rows else "nothing"
        raise ValueError(
            f"{path} needs the columns {' and '.join(columns)}, aus such as 6C+12D; found {found}"
        )
    return rows
