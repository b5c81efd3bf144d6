"""AU columns of label tables, in the spellings of the tools that write them: one table for all.

A format says which column names the picture, which columns are intensities, and by how much a
number is multiplied to come to 0..5. `find_columns` reads a header by it; `read_values` a row.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..facs.notation import parse_notation
from ..facs.units import UNITS

# Movements and codes that FACS withdrew: OpenFace's AU45, a blink, has no place in a still.
SKIPPED_UNITS = frozenset({41, 42, 44, 45, 46})
FILE_COLUMNS = (
    "file", "filename", "file_name", "image", "imagename", "image_path", "path", "input",
    "subdirectory_filepath",
)  # fmt: skip
CAPTION_COLUMNS = ("caption", "textdescription", "text", "prompt")
SIDES = {"l": "L", "left": "L", "r": "R", "right": "R"}


@dataclass(frozen=True)
class LabelFormat:
    """How one tool spells AU labels.

    column: pattern of a column's name in lower case, without spaces around; `number`, and `before`
    or `after` for a side. scale: factor that makes 0..5 of the numbers. success: a column that is 0
    where the tool saw no face. frame: a column that counts pictures from `first_frame`, used where
    no column names a file. beside: pattern of columns that only this tool has beside its AUs. note:
    what a reader of the labels should know.
    """

    title: str
    column: str
    scale: float = 1.0
    success: str = ""
    frame: str = ""
    first_frame: int = 0
    beside: str = ""
    note: str = ""


_SIDE = "l|r|left|right"
LABEL_FORMATS: dict[str, LabelFormat] = {
    "plain": LabelFormat(
        "a table of one's own: AU12, au_12, 12, AU12_intensity; sides L12, AU12_L, AU12_left",
        rf"(?:(?P<before>{_SIDE})_?)?(?:au)?_?0*(?P<number>\d+)"
        rf"(?:_?(?P<after>{_SIDE}))?(?:_intensity)?",
    ),
    "libreface": LabelFormat(
        "LibreFace 0.1 and 0.2",
        r"au_(?P<number>\d+)_intensity",
        beside=r"au_\d+",
        note="its columns without _intensity say 0 or 1: whether an AU is there",
    ),
    "openface": LabelFormat(
        "OpenFace 2",
        r"au0*(?P<number>\d+)_r",
        success="success",
        frame="frame",
        first_frame=1,
        beside=r"au\d+_c|success",
        note="its _r stands for an intensity, not for the right side",
    ),
    "py-feat": LabelFormat(
        "py-feat",
        r"au0*(?P<number>\d+)",
        scale=5.0,
        frame="frame",
        beside=r"facescore|facerect(x|y|width|height)",
        note="py-feat says how surely an AU is present; 5 times that stands in for an intensity",
    ),
    "fineface": LabelFormat(
        "FineFace's metadata of AffectNet, LibreFace before its factor of 5",
        r"au(?P<number>\d+)_rec",
        scale=5.0,
    ),
}


@dataclass(frozen=True)
class Columns:
    """The columns of one table that matter. aus: column -> code such as "12" or "L4"."""

    form: LabelFormat
    aus: dict[str, str]
    file: str | None = None
    caption: str | None = None
    notation: str | None = None
    frame: str | None = None
    success: str | None = None


def find_columns(header: Iterable[str], form: str = "plain", where: str = "the table") -> Columns:
    """Which columns of a header hold what, by a name in LABEL_FORMATS.

    Raises ValueError, with the columns found, when no column holds AUs, when two hold the same one,
    or when nothing says which picture a row belongs to.
    """
    if form not in LABEL_FORMATS:
        raise ValueError(
            f"There is no label format {form!r}: choose one of {', '.join(LABEL_FORMATS)}"
        )
    layout, header = LABEL_FORMATS[form], [name for name in header if name is not None]
    names = {name.strip().lower(): name for name in header}
    notation = names.get("notation")
    columns = Columns(
        layout,
        {} if notation else _au_columns(header, layout, where),
        file=_first(names, FILE_COLUMNS),
        caption=_first(names, CAPTION_COLUMNS),
        notation=notation,
        frame=names.get(layout.frame),
        success=names.get(layout.success),
    )
    found = f"its columns are {_some(header)}"
    if not columns.aus and not notation:
        raise ValueError(
            f"{where} has no AU column as {layout.title} writes them; {found}. Choose another "
            f"label format ({', '.join(LABEL_FORMATS)}), or rename its columns"
        )
    if columns.file is None and columns.frame is None:
        raise ValueError(
            f"{where} has no column that names the picture, such as {FILE_COLUMNS[0]}; {found}"
        )
    return columns


def read_values(
    row: Mapping[str, object], columns: Columns, where: str = "a row"
) -> dict[str, float] | None:
    """AU code -> intensity of a row; None where the tool saw no face or left a number out.

    where: file and line, for a notation that cannot be read, which is a ValueError.
    """
    if columns.success and _number(row[columns.success]) != 1:
        return None
    if columns.notation:
        return _parsed(str(row[columns.notation] or ""), where)
    values = {code: _number(row[name]) for name, code in columns.aus.items()}
    if not all(map(math.isfinite, values.values())):
        return None
    return {code: columns.form.scale * value for code, value in values.items()}


def _parsed(notation: str, where: str) -> dict[str, float]:
    try:
        return parse_notation(notation)
    except ValueError as error:
        raise ValueError(
            f"{where}, column notation: {error}. Write AUs as in 6C+12D, and nothing for a face "
            "that shows none"
        ) from error


def _au_columns(header: Iterable[str], layout: LabelFormat, where: str) -> dict[str, str]:
    if layout is LABEL_FORMATS["plain"]:
        _refuse_tools(header, where)
    pattern, codes = re.compile(layout.column), {}
    for name in header:
        match = pattern.fullmatch(name.strip().lower())
        if not match or int(match["number"]) not in set(UNITS) - SKIPPED_UNITS:
            continue
        if name in codes:
            raise ValueError(f"{where} has the column {name!r} twice: keep one")
        sides = match.groupdict()
        side = SIDES.get(sides.get("before") or sides.get("after") or "", "")
        codes[name] = f"{side}{int(match['number'])}"
    _refuse_contradictions(codes, where)
    return codes


def _refuse_tools(header: Iterable[str], where: str) -> None:
    """Tables of a tool have columns that look like one's own and mean something else."""
    names = [name.strip() for name in header]
    for form, layout in LABEL_FORMATS.items():
        beside = [n for n in names if layout.beside and re.fullmatch(layout.beside, n.lower())]
        if beside and any(re.fullmatch(layout.column, name.lower()) for name in names):
            raise ValueError(
                f"{where} is a table of {layout.title}, by its column {beside[0]}: {layout.note}. "
                f"Make shards of it with `au-adapter prepare folder PICTURES TABLE --output SHARDS "
                f"--format {form}`. Where the AUs are 0..5 of your own, rename {beside[0]}"
            )


def _refuse_contradictions(codes: dict[str, str], where: str) -> None:
    seen: dict[str, str] = {}
    for name, code in codes.items():
        both = code.lstrip("LR")
        for rival in {code, both} if code != both else {both, f"L{both}", f"R{both}"}:
            if rival in seen:
                raise ValueError(
                    f"{where} gives AU{both} twice, as {seen[rival]!r} and {name!r}: keep one"
                )
        seen[code] = name


def _number(value: object) -> float:
    """A cell as a number; NaN where it holds none."""
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return math.nan


def _first(names: Mapping[str, str], wanted: Iterable[str]) -> str | None:
    return next((names[name] for name in wanted if name in names), None)


def _some(header: list[str]) -> str:
    shown = ", ".join(name.strip() for name in header[:12])
    return shown + (f" and {len(header) - 12} more" if len(header) > 12 else "")
