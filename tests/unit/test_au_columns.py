"""Columns of label tables: every spelling is read, and what could mean two things is refused."""

from __future__ import annotations

import pytest

from au_adapter.data.au_columns import TABLE_FORMATS, find_columns, read_values


@pytest.mark.parametrize(
    ("column", "code"),
    [
        ("AU12", "12"), ("au_12", "12"), (" AU01 ", "1"), ("12", "12"), ("AU4_intensity", "4"),
        ("L12", "L12"), ("AU12_L", "L12"), ("au12_right", "R12"), ("AU_2_left", "L2"),
        ("R_AU6", "R6"), ("AU12R", "R12"), ("left_AU14", "L14"),
    ],
)  # fmt: skip
def test_plain_spellings(column: str, code: str) -> None:
    columns = find_columns(["file", column])
    assert columns.aus == {column: code} and columns.files == ("file",)


@pytest.mark.parametrize("column", ["2024", "AU45", "AU51", "age", "AU12_probability", "BAU4"])
def test_other_columns_are_no_aus(column: str) -> None:
    assert find_columns(["file", "AU1", column]).aus == {"AU1": "1"}


@pytest.mark.parametrize(
    ("form", "header", "row", "expected"),
    [
        ("libreface", "file,au_1,au_1_intensity,au_12_intensity", "a,1,0.5,3", {"1": 0.5, "12": 3}),
        ("openface", "frame, success, AU01_r, AU45_r, AU01_c", "1,1,2.5,1,1", {"1": 2.5}),
        ("py-feat", "input,FaceScore,AU01,AU43", "a,0.9,0.5,0.1", {"1": 2.5, "43": 0.5}),
        ("fineface", "ImageName,AU1_rec,AU26_rec", "a,0.2,1", {"1": 1.0, "26": 5.0}),
    ],
)
def test_formats_of_tools(form: str, header: str, row: str, expected: dict[str, float]) -> None:
    names = header.split(",")
    columns = find_columns(names, form)
    values = read_values(dict(zip(names, row.split(","), strict=True)), columns)
    assert values == pytest.approx(expected)


def test_no_face_and_no_number_are_no_label() -> None:
    names = ["frame", " success", " AU12_r"]
    columns = find_columns(names, "openface")
    for cells in (["1", "0", "0.0"], ["1", "1", ""], ["1", "1", "nan"]):
        assert read_values(dict(zip(names, cells, strict=True)), columns) is None


def test_notation_is_read_from_its_column() -> None:
    columns = find_columns(["image", "notation"])
    assert read_values({"image": "a", "notation": "R12A+4C"}, columns) == {"R12": 1.0, "4": 3.0}
    assert read_values({"image": "a", "notation": ""}, columns) == {}


@pytest.mark.parametrize(
    ("header", "form", "message"),
    [
        (["file", "smile"], "plain", "no AU column .*its columns are file, smile.*libreface"),
        (["file", "AU12"], "libreface", "no AU column as LibreFace"),
        (["AU12", "age"], "plain", "no column that names the picture, such as file"),
        (["file", "AU12", "au_12"], "plain", "gives AU12 twice, as 'AU12' and 'au_12'"),
        (["file", "AU12", "AU12"], "plain", "has the column 'AU12' twice"),
        (["file", "AU12", "L12"], "plain", "gives AU12 twice, as 'AU12' and 'L12'"),
        (["file", "L12", "AU12"], "plain", "gives AU12 twice, as 'L12' and 'AU12'"),
        (["file", "AU12"], "openfac", "no label format 'openfac': choose one of plain"),
    ],
)
def test_tables_that_do_not_fit(header: list[str], form: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        find_columns(header, form)


@pytest.mark.parametrize(
    ("header", "tool", "form"),
    [
        ("FaceRectX,FaceScore,x_0,AU01,AU12,anger,input,frame", "py-feat", "py-feat"),
        ("file,FaceScore,AU12", "py-feat", "py-feat"),
        ("file,frame, success, AU01_r, AU12_r", "OpenFace 2", "openface"),
        ("file,AU01_r,AU12_r,AU01_c,AU28_c", "OpenFace 2", "openface"),
        ("image_path,au_1,au_7,au_1_intensity,lm_mp_0_x", "LibreFace", "libreface"),
    ],
)
def test_a_tools_table_is_not_taken_for_ones_own(header: str, tool: str, form: str) -> None:
    with pytest.raises(ValueError, match=f"labels.csv is a table of {tool}.*--format {form}`"):
        find_columns(header.split(","), "plain", "labels.csv")


def test_intensities_of_libreface_alone_are_read_as_they_are() -> None:
    columns = find_columns(["path", "au_1_intensity", "facial_expression"])
    assert columns.aus == {"au_1_intensity": "1"}


def test_a_notation_that_cannot_be_read_is_named_with_its_place() -> None:
    columns = find_columns(["image", "notation"])
    with pytest.raises(ValueError, match=r"^line 7 of a\.csv, column notation: .*6C\+12D"):
        read_values({"image": "a", "notation": "smile"}, columns, "line 7 of a.csv")


def test_sides_of_one_unit_go_together() -> None:
    assert set(find_columns(["file", "L12", "R12", "4"]).aus.values()) == {"L12", "R12", "4"}


def test_every_format_says_whose_it_is() -> None:
    assert all(form.title and form.scale in (1.0, 5.0) for form in TABLE_FORMATS.values())


@pytest.mark.parametrize("header", ["AU06_r,AU12_r", "AU06_R,au12_r", "AU06_r,AU12"])
def test_regression_columns_without_a_left_side_are_of_both(header: str) -> None:
    assert list(find_columns(["file", *header.split(",")]).aus.values()) == ["6", "12"]


def test_a_left_side_makes_r_the_right_one() -> None:
    found = find_columns(["file", "AU06_r", "AU06_l", "AU12_r"]).aus
    assert list(found.values()) == ["R6", "L6", "R12"]


@pytest.mark.parametrize(
    ("header", "name"),
    [
        (",".join(map(str, range(12))), "0"),
        (",".join(f"AU{n:02d}_r" for n in range(1, 9)), "AU03_r"),
        ("AU12,AU99", "AU99"),
        ("AU12,au_40_intensity", "au_40_intensity"),
    ],
)
def test_numbers_that_no_unit_has_are_refused(header: str, name: str) -> None:
    with pytest.raises(ValueError, match=f"labels.csv has the column '{name}', and there is no"):
        find_columns(["file", *header.split(",")], "plain", "labels.csv")


@pytest.mark.parametrize("form", ["plain", "libreface", "openface", "py-feat"])
@pytest.mark.parametrize("name", ["filename", "input_image_path", "Image_Path", "input"])
def test_the_columns_of_files_are_known_in_every_format(form: str, name: str) -> None:
    unit = {"libreface": "au_12_intensity", "openface": "AU12_r"}.get(form, "AU12")
    assert find_columns([unit, name], form).files == (name,)
