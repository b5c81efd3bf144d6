"""What to draw or edit: prompts or photos, AUs, seeds and tables become requests."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path

from ..data.au_columns import read_notation
from ..data.pictures import PictureFolder
from ..data.request_tables import read_requests
from .picture_batch import Wanted


def prompt_requests(
    prompts: Sequence[str], aus: Sequence[str], seeds: Sequence[int], table: Path | None = None
) -> list[Wanted]:
    """Every prompt with every seed and every AU text; requests of one prompt and seed together.

    table: a CSV with the column aus, for AUs that differ from picture to picture. Where it has the
    columns prompt and seed, a line is drawn from these instead of those given. ValueError naming
    the line that cannot be understood.
    """
    found = []
    for line, row, asked in _lines(aus, table):
        own = [row["prompt"]] if row.get("prompt") else prompts
        if not own:
            raise ValueError(f"{line} has no prompt: fill the column prompt, or give PROMPT")
        found += [Wanted(asked, s, prompt=p) for p, s in product(own, _seeds(line, row, seeds))]
    return _together(found)


def photo_requests(
    photos: Sequence[Path], aus: Sequence[str], seeds: Sequence[int], table: Path | None = None
) -> list[Wanted]:
    """Every photo with every seed and every AU text. photos: files, and folders of pictures. table:
    as in `prompt_requests`, with the column file, seen from the table, instead of prompt."""
    files = [str(file) for given in photos for file in _files(given)]
    found = []
    for line, row, asked in _lines(aus, table):
        own = [str(table.parent / row["file"])] if table and row.get("file") else files
        if not own:
            raise ValueError(f"{line} names no photo: fill the column file, or give PHOTO")
        found += [Wanted(asked, s, photo=p) for p, s in product(own, _seeds(line, row, seeds))]
    return _together(found)


def _lines(
    aus: Sequence[str], table: Path | None
) -> list[tuple[str, dict[str, str], dict[str, float]]]:
    """Where a request stands, its other cells, and its AUs: of --aus, or of the rows of a table."""
    if bool(aus) == bool(table):
        raise ValueError("Give --aus, such as --aus 6B+12C, or --requests with a CSV; one of both")
    if table is None:
        return [("--aus", {}, read_notation(text, text, "--aus")) for text in aus]
    return [(row.where, row.cells, row.aus) for row in read_requests(table, ("aus",))]


def _seeds(line: str, row: dict[str, str], seeds: Sequence[int]) -> list[int]:
    if not row.get("seed"):
        return list(seeds)
    try:
        return [int(row["seed"])]
    except ValueError as error:
        raise ValueError(f"{line}: the seed is '{row['seed']}', expected a whole number") from error


def _files(given: Path) -> list[Path]:
    if not given.is_dir():
        return [given]
    if files := PictureFolder(given).files:
        return files
    raise ValueError(f"{given} holds no pictures")


def _together(wanted: Sequence[Wanted]) -> list[Wanted]:
    """Those of one prompt or photo and one seed follow each other, by the first of each."""
    order: dict[tuple, int] = {}
    for one in wanted:
        order.setdefault(one.origin, len(order))
    return sorted(wanted, key=lambda one: order[one.origin])
