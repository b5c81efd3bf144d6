"""Columns of AU tables, in the spellings of the tools that write them: for labels and readings.

A format says which columns are intensities, by how much a number is multiplied to come to 0..5,
and what else the tool says of a picture. `find_columns` reads a header by it; `read_values` a row.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..facs import AUVector
from ..facs.notation import parse_notation
from ..facs.units import UNITS
from .pictures import names_picture
from .tables import Table, read_flag, read_number

LOGGER = logging.getLogger("au_adapter")
# Movements, codes that FACS withdrew, and codes of head, eyes and visibility: OpenFace's AU45, a
# blink, has no place in a still.
NO_ACTIONS = frozenset({41, 42, 44, 45, 46, *range(50, 80)})
FILE_COLUMNS = (
    "file", "filename", "file_name", "filepath", "file_path", "image", "imagename", "image_name",
    "image_path", "imagepath", "image_file", "path", "input", "input_image_path", "img", "img_path",
    "picture", "subdirectory_filepath",
)  # fmt: skip
CAPTION_COLUMNS = ("caption", "textdescription", "text", "prompt")
SIDES = {"l": "L", "left": "L", "r": "R", "right": "R"}


@dataclass(frozen=True)
class TableFormat:
    """How one tool writes AUs.

    title: the tool. column: pattern of an AU column in small letters; `number`, and `before` or
    `after` for a side. scale: factor that makes 0..5 of the numbers. success: a column that is 0
    where the tool saw no face. frame: columns that count pictures from `first_frame`, used where no
    column names a file. confidence, box: columns. beside: pattern of columns that only this tool
    has beside its AUs. note: what a reader of the AUs should know.
    """

    title: str
    column: str
    scale: float = 1.0
    success: str = ""
    frame: tuple[str, ...] = ()
    first_frame: int = 0
    confidence: str = ""
    box: tuple[str, ...] = ()
    beside: str = ""
    note: str = ""


_SIDE = "l|r|left|right"
TABLE_FORMATS: dict[str, TableFormat] = {
    "plain": TableFormat(
        "a table of one's own: AU12, au_12, 12, AU12_intensity; sides L12, AU12_L, AU12_left",
        rf"(?:(?P<before>{_SIDE})_?)?(?:au)?_?0*(?P<number>\d+)"
        rf"(?:_?(?P<after>{_SIDE}))?(?:_intensity)?",
    ),
    "libreface": TableFormat(
        "LibreFace 0.1 and 0.2",
        r"au_(?P<number>\d+)_intensity",
        frame=("frame_idx", "frame"),
        beside=r"au_\d+",
        note="its columns without _intensity say 0 or 1: whether an AU is there",
    ),
    "openface": TableFormat(
        "OpenFace 2",
        r"au0*(?P<number>\d+)_r",
        success="success",
        frame=("frame",),
        first_frame=1,
        confidence="confidence",
        beside=r"au\d+_c|success",
        note="its _r stands for an intensity, not for the right side",
    ),
    "py-feat": TableFormat(
        "py-feat",
        r"au0*(?P<number>\d+)",
        scale=5.0,
        frame=("frame",),
        confidence="facescore",
        box=("facerectx", "facerecty", "facerectwidth", "facerectheight"),
        beside=r"facescore|facerect(x|y|width|height)",
        note="py-feat says how surely an AU is present; 5 times that stands in for an intensity",
    ),
    "fineface": TableFormat(
        "FineFace's metadata of AffectNet, LibreFace before its factor of 5",
        r"au(?P<number>\d+)_rec",
        scale=5.0,
    ),
}
READING_TOOLS = {  # formats of tools that estimate, told apart by their columns -> estimator
    "libreface": "LibreFace",
    "openface": "OpenFace",
    "py-feat": "py-feat (probability x 5)",
}


@dataclass(frozen=True)
class Columns:
    """The columns of one table that matter. aus: column -> code such as "12" or "L4". files: those
    that may name the picture, the likeliest first."""

    form: TableFormat
    aus: dict[str, str]
    files: tuple[str, ...] = ()
    caption: str | None = None
    notation: str | None = None
    frame: str | None = None
    success: str | None = None
    confidence: str | None = None
    box: tuple[str, ...] = ()


def find_columns(header: Iterable[str], form: str = "plain", where: str = "the table") -> Columns:
    """Which columns of a header hold what, by a name in TABLE_FORMATS.

    Raises ValueError, with the columns found, when no column holds AUs, when two hold the same one,
    when one is numbered as no AU is, or when nothing says which picture a row belongs to.
    """
    if form not in TABLE_FORMATS:
        raise ValueError(
            f"There is no label format {form!r}: choose one of {', '.join(TABLE_FORMATS)}"
        )
    layout, header = TABLE_FORMATS[form], list(header)
    names = {name.strip().lower(): name for name in header}
    box = tuple(names[name] for name in layout.box if name in names)
    columns = Columns(
        layout,
        {} if "notation" in names else _au_columns(header, layout, where),
        files=tuple(names[name] for name in FILE_COLUMNS if name in names),
        caption=_first(names, CAPTION_COLUMNS),
        notation=names.get("notation"),
        frame=_first(names, layout.frame),
        success=names.get(layout.success),
        confidence=names.get(layout.confidence),
        box=box if len(box) == 4 else (),
    )
    more = f" and {len(header) - 12} more" if len(header) > 12 else ""
    found = f"its columns are {', '.join(name.strip() for name in header[:12])}{more}"
    if not columns.aus and not columns.notation:
        raise ValueError(
            f"{where} has no AU column as {layout.title} writes them; {found}. Choose another "
            f"label format ({', '.join(TABLE_FORMATS)}), or rename its columns"
        )
    if not columns.files and columns.frame is None:
        raise ValueError(
            f"{where} has no column that names the picture, such as {FILE_COLUMNS[0]}; {found}"
        )
    return columns


def find_tool(header: Sequence[str], where: str) -> str:
    """Which of READING_TOOLS wrote a table with this header. ValueError where none did, and for
    columns of left and right, which no tool writes."""
    names = [name.strip().lower() for name in header]
    for form in READING_TOOLS:
        if any(re.fullmatch(TABLE_FORMATS[form].column, name) for name in names):
            break
    else:
        raise ValueError(
            f"{where} has no columns of AUs as LibreFace (au_12_intensity), OpenFace (AU12_r) or "
            f"py-feat (AU12) name them; found {', '.join(header[:5]) or 'nothing'}"
        )
    plain = re.compile(TABLE_FORMATS["plain"].column)
    sided = (match.groupdict() for name in names if (match := plain.fullmatch(name)))
    if any(SIDES.get(s["before"] or s["after"] or "") == "L" for s in sided):
        raise ValueError(
            f"{where} has columns of the left side, which {READING_TOOLS[form]} does not write: "
            "give a table with one column for each AU"
        )
    return form


def picture_column(table: Table, columns: Columns) -> tuple[str, bool]:
    """The column that says which picture a row belongs to, and whether it does so by a number.

    Names of picture files come before frame numbers: a tool that runs once for each picture counts
    each from the first. A name that is none, such as a video's, comes after them.
    """
    candidates = list(columns.files)
    for row in table:
        for name in candidates:
            if names_picture(row.cells[name]):
                return name, False
        candidates = [name for name in candidates if not row.cells[name]]  # the next row tells
        if not candidates:
            break
    if columns.frame is not None:
        return columns.frame, True
    numbered = columns.form.frame and all(
        re.fullmatch(r"[0-9]+", row.cells[columns.files[0]]) for row in table
    )
    return columns.files[0], bool(numbered)


def read_frame(cell: str, column: str, where: str) -> int:
    """The number of a frame. ValueError for a cell that holds none."""
    number = read_number(cell, column, where)
    if not number.is_integer():
        raise ValueError(f"{where}: {column} is {cell!r}, expected the whole number of a frame")
    return int(number)


def read_values(
    row: Mapping[str, str], columns: Columns, where: str = "a row"
) -> dict[str, float] | None:
    """AU code -> intensity of a row; None where the tool saw no face or left a number out.

    where: file and line, for the ValueError of text that is no number or no notation.
    """
    if columns.success and not read_flag(row[columns.success], columns.success, where):
        return None
    if columns.notation:
        return read_notation(row[columns.notation], columns.notation, where)
    values = {code: read_number(row[name], name, where) for name, code in columns.aus.items()}
    if any(value != value for value in values.values()):  # NaN
        return None
    return {code: columns.form.scale * value for code, value in values.items()}


def read_notation(cell: str, column: str, where: str) -> dict[str, float]:
    """AU code -> intensity of FACS notation, 12:0 too. ValueError naming line and column."""
    try:
        found = parse_notation(cell)
        AUVector.from_dict(found)  # has no place for one lip without the other
        return found
    except ValueError as error:
        raise ValueError(
            f"{where}, column {column}: {error}. Write AUs as in 6C+12D, and nothing for a face "
            "that shows none"
        ) from error


def _au_columns(header: Sequence[str], layout: TableFormat, where: str) -> dict[str, str]:
    plain = layout is TABLE_FORMATS["plain"]
    if plain:
        _refuse_tools(header, where)
    pattern, codes = re.compile(layout.column), {}
    for name in header:
        match = pattern.fullmatch(name.strip().lower())
        if not match or not _is_unit(number := int(match["number"][:9]), name, where):
            continue
        if name in codes:
            raise ValueError(f"{where} has the column {name!r} twice: keep one")
        sides = match.groupdict()
        side = SIDES.get(sides.get("before") or sides.get("after") or "", "")
        codes[name] = f"{side}{number}"
    if plain:
        codes = _without_regression(codes, where)
    _refuse_contradictions(codes, where)
    return codes


def _is_unit(number: int, name: str, where: str) -> bool:
    """Whether a column's number is an Action Unit's. ValueError for numbers that no code of FACS
    has, which give away the numbered outputs of a network; a bare one above may be a year."""
    if number in UNITS or number in NO_ACTIONS:
        return number not in NO_ACTIONS
    if number >= 80 and name.strip().isdigit():
        return False
    raise ValueError(
        f"{where} has the column {name!r}, and there is no Action Unit {number}: do its columns "
        "count something else, such as the outputs of a network? Name each by the AU that it holds"
    )


def _without_regression(codes: dict[str, str], where: str) -> dict[str, str]:
    """OpenFace's regression columns, AU12_r, are of both sides: the left ones are missing."""
    regression = {n for n in codes if re.fullmatch(r"au\d+_r", n.strip().lower())}
    if not regression or any(code.startswith("L") for code in codes.values()):
        return codes
    LOGGER.info("%s: %s and the like are read as intensities of both sides, as OpenFace writes "
                "them; no column is of a left side", where, min(regression))  # fmt: skip
    return {n: code.lstrip("R") if n in regression else code for n, code in codes.items()}


def _refuse_tools(header: Iterable[str], where: str) -> None:
    """Tables of a tool have columns that look like one's own and mean something else."""
    names = [name.strip() for name in header]
    for form, layout in TABLE_FORMATS.items():
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


def _first(names: Mapping[str, str], wanted: Iterable[str]) -> str | None:
    return next((names[name] for name in wanted if name in names), None)
