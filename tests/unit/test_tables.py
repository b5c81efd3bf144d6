"""Tables as people have them: encodings, delimiters, cut lines, blank and odd cells."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

import pytest

from au_adapter.data.request_tables import read_requests
from au_adapter.data.tables import Table, read_flag, read_number, spreadsheet_text


def written(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "table.csv"
    path.write_bytes(text.encode(encoding))
    return path


def cells(folder: Path, text: str, encoding: str = "utf-8") -> list[dict[str, str]]:
    return [row.cells for row in Table(written(folder, text, encoding))]


PEOPLE = [{"file": "a.png", "aus": "6A, 12C"}, {"file": "b.png", "aus": ""}]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_what_excel_and_tools_write_is_read(
    tmp_path: Path, encoding: str, delimiter: str, end: str
) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, ["file", "aus"], delimiter=delimiter, lineterminator=end)
    writer.writeheader()
    writer.writerows(PEOPLE)
    assert cells(tmp_path, text.getvalue(), encoding) == PEOPLE


@pytest.mark.parametrize(
    "text",
    [
        "file, AU6,\na,1,\nb,2,\n",  # a comma too many, throughout
        "file,AU6\na,1,\nb,2,,\n",  # in the rows alone
        "file,AU6,,\na,1\nb,2\n",  # in the header alone
        ",file,AU6\n0,a,1\n1,b,2\n",  # the index that pandas writes
        "file,,AU6\na,x,1\nb,,2\n",
        "\nfile,AU6\n\na,1\n,\nb,2\n\n",  # blank rows
        ' file , "AU6"\n"a", "1"\nb ,2',
    ],
)
def test_blank_columns_and_rows_are_as_if_not_there(tmp_path: Path, text: str) -> None:
    assert cells(tmp_path, text) == [{"file": "a", "AU6": "1"}, {"file": "b", "AU6": "2"}]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n3", "line 3 of .*table.csv has 1 cell, and the header 2: complete the line"),
        ("a,b\n1,2,3\n", "line 2 .* has 3 cells, and the header 2: write decimals with a point"),
        ("a,b,\n1,5,2,5,\n", "line 2 .* has 5 cells"),
        ('a,b\n1,"2\n3,4\n', r"line 2 .* quotes that do not close"),
        ('a,b\n1,2\n3,"x"y"\n', "line 3 .* quotes that do not close or stand inside a cell"),
        ("a,b\n1," + "x" * 140_000, "line 2 of .*field larger"),
        ("a,b,a\n1,2,3\n", "has the column 'a' twice"),
        ("a,b\n1,\0\n", "line 2 of .* holds zero bytes"),
    ],
)
def test_what_does_not_fit_is_named_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cells(tmp_path, text)


def test_other_encodings_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"line 2 of .*table.csv is not in UTF-8: b'caf\\xe9,1'"):
        cells(tmp_path, "file,AU6\ncaf\xe9,1\n", "windows-1252")
    with pytest.raises(ValueError, match="holds zero bytes: .*UTF-16 without the mark"):
        cells(tmp_path, "file,AU6\na,1\n", "utf-16-le")
    with pytest.raises(ValueError, match="is a folder: name a table in it"):
        Table(tmp_path)
    with pytest.raises(FileNotFoundError, match="there is no table .*none.csv"):
        Table(tmp_path / "none.csv")


def test_the_line_of_a_row_counts_lines_inside_its_cells(tmp_path: Path) -> None:
    rows = Table(written(tmp_path, 'a,b\n"x\ny",1\n\nz,2\n'))
    assert [row.where.split()[1] for row in rows] == ["2", "5"]


@pytest.mark.parametrize(
    "cell", ["", "nan", "-nan", "-nan(ind)", "NaN", "NA", "n/a", "None", "null", "inf", "-1.#IND"]
)
def test_numbers_that_are_not_there(cell: str) -> None:
    assert math.isnan(read_number(cell, "AU6", "line 2"))


def test_numbers_and_text() -> None:
    found = [read_number(cell, "AU6", "") for cell in ("2", "-0.02", "+.5", "1e-3", "2.")]
    assert found == [2.0, -0.02, 0.5, 0.001, 2.0]
    for cell in ("2,5", "C", "1_0", "0x1", "\u0663", "1 2", "--2"):
        with pytest.raises(ValueError, match=f"line 7: AU6 is '{cell}', expected a number"):
            read_number(cell, "AU6", "line 7")


def test_flags() -> None:
    assert all(read_flag(cell, "success", "") for cell in ("1", "1.0", "True", "yes", "TRUE"))
    assert not any(read_flag(c, "success", "") for c in ("0", "0.0", "False", "no", "", "nan"))
    with pytest.raises(ValueError, match="line 2: success is 'maybe', expected a number"):
        read_flag("maybe", "success", "line 2")


def test_requests_keep_a_zero_that_is_asked_for(tmp_path: Path) -> None:
    rows = read_requests(written(tmp_path, "File,AUs\na.png,12:0+L6C\nb.png,\n"))
    assert [row.aus for row in rows] == [{"12": 0.0, "L6": 3.0}, {}]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("picture,aus\na,1\n", "needs the columns file and aus, .* has no file; found picture"),
        ("file,aus\n", "has no rows"),
        ("", "has no file and no aus; found nothing"),
        ("file,aus\na.png,6A,12E\n", "line 2 .* has 3 cells"),
        ("file,aus\na.png,6A\nb.png\n", "line 3 .* has 1 cell"),
        ("file,aus\na.png,6A\nb.png,12F\n", "line 3 .*, column aus: '12F'"),
        ("file,aus\na.png,T10C\n", "line 2 .*, column aus: T10"),
        ("file,aus\n,6A\n", "line 2 .* has nothing in its column file"),
        ("file,aus\na.png,6A\nb.png,\na.png,6B\n", "line 4 .* lists a.png again, after line 2"),
    ],
)
def test_requests_that_do_not_fit(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_requests(written(tmp_path, text), once="file")


def test_text_that_a_spreadsheet_would_compute_is_quoted() -> None:
    for text in ("=1+2.png", "@sum", "+1", "-1", "\t=1"):
        assert spreadsheet_text(text) == f"'{text}"
    assert spreadsheet_text("a=b.png") == "a=b.png" and spreadsheet_text("") == ""
