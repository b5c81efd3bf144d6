"""`evaluate` of the pictures of a folder, by an estimator of ours or another tool's readings."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image
from test_evaluation_methods import READER, run, write_photos

from au_adapter.cli import main


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_photos(tmp_path / "photos")


@pytest.fixture(autouse=True)
def no_networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AU_ADAPTER_CACHE", str(tmp_path / "cache"))


def test_the_pictures_of_a_folder(tmp_path: Path, photos: Path) -> None:
    Image.new("RGB", (40, 50), "white").save(photos / "white.png")
    table = tmp_path / "asked.csv"
    table.write_text("file,aus,source\nperson0.png,6C+12D,person1.png\nwhite.png,12E+10A,\n")
    output = tmp_path / "run"
    result = run("evaluate", photos, "--requested", table, "--output", output)
    assert result.exit_code == 0, result.output
    rows = {r["id"]: r for r in csv.DictReader((output / "report.csv").open())}
    assert float(rows["white.png"]["measured_12"]) == 5.0
    report = json.loads((output / "report.json").read_text())
    assert report["not_measured"]["AU10"] == "brightness does not read it"
    assert not {"AU6", "AU12"} & report["not_measured"].keys()
    assert rows["white.png"]["requested_12"] == "5.0" and rows["white.png"]["picture_rmse"] == ""
    assert float(rows["person0.png"]["picture_rmse"]) > 0.1
    without = run("evaluate", photos, "--output", tmp_path / "other")
    assert without.exit_code == 1 and "Give --requested" in without.output
    idle = run("evaluate", photos, "--requested", table, "--output", output, "--limit", 1)
    assert idle.exit_code == 1 and "leave out --limit" in idle.output
    Image.new("RGB", (40, 50), "black").save(photos / "white.png")
    redrawn = run("evaluate", photos, "--requested", table, "--output", output)
    assert redrawn.exit_code == 1 and "holds another run: its settings" in redrawn.output
    table.write_text("picture,aus\n")
    wrong = run("evaluate", photos, "--requested", table, "--output", tmp_path / "other")
    assert wrong.exit_code == 1 and "needs the columns file and aus" in wrong.output


def mean_colour():
    """Stands for a face recognition network."""
    return lambda images: images.mean((1, 2)) + 0.1


def colours_and_classes():
    """Stands for an Inception network: features, and scores of two classes."""
    return lambda images: (images.mean((1, 2)), 9 * images.mean((1, 2))[:, :2])


def grey(file: Path, level: int) -> None:
    Image.new("RGB", (40, 40), (level,) * 3).save(file)


def test_edits_of_a_folder_as_changes_with_identity(tmp_path: Path, photos: Path) -> None:
    """A photo reads 1 and is asked for 2 more, but 3 of AU6: the edit reads 3 throughout."""
    grey(photos / "photo.png", 51)
    grey(photos / "edit.png", 153)
    table, output = tmp_path / "asked.csv", tmp_path / "run"
    table.write_text("file,aus,source\nedit.png,6C+12B,photo.png\n")
    options = ("--requested", table, "--changes", "--identity", f"{__name__}:mean_colour")
    result = run("evaluate", photos, *options, "--output", output)
    assert result.exit_code == 0, result.output
    report = json.loads((output / "report.json").read_text())
    lines = {line["metric"]: line for line in report["lines"]}
    # Targets: 4, 3, and 1 for the ten AUs that are to stay.
    assert lines["au_mse"]["value"] == pytest.approx((1 + 0 + 10 * 4) / 12, rel=1e-3)
    assert lines["identity_l2"]["value"] == pytest.approx(0.4 * 3**0.5, rel=1e-3)
    assert lines["identity_cosine"]["value"] == pytest.approx(1)
    assert lines["identity_l2"]["estimator"] == f"{__name__}:mean_colour"
    absolute = run("evaluate", photos, *options[:2], *options[3:], "--output", output)
    assert "holds another run: its scale" in absolute.output


def test_changes_and_identity_that_cannot_be(tmp_path: Path, photos: Path) -> None:
    table, output = tmp_path / "asked.csv", ("--output", tmp_path / "run")
    table.write_text("file,aus,source\nperson0.png,12C,\n")
    lost = run("evaluate", photos, "--requested", table, "--changes", *output)
    assert lost.exit_code == 1 and "names no source of person0.png" in lost.output
    drawn = run("evaluate", "fineface", "--changes", *output)
    assert drawn.exit_code == 1 and "--changes belongs to a folder" in drawn.output
    for name in ("dlib", "no_such_package.faces:make", f"{__name__}:nobody"):
        unknown = run("evaluate", photos, "--requested", table, "--identity", name, *output)
        assert unknown.exit_code == 1 and f"no function '{name}'" in unknown.output


def evaluate(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["evaluate", *map(str, arguments)])


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "asked.csv"
    path.write_text("file,aus,source\nperson1.png,6C+12D+43A,person0.png\n")
    return path


def readings_of(folder: Path, *lines: str) -> Path:
    path = folder / "read.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_readings_of_another_tool_by_file(tmp_path: Path, photos: Path, table: Path) -> None:
    read = readings_of(
        tmp_path,
        "input,FaceScore,AU06,AU12",
        f"{photos}/person1.png,0.5,0.1,0.1",
        f"{photos}/person1.png,0.9,0.6,0.4",
        "elsewhere/none.png,,,",
    )
    output = tmp_path / "run"
    options = (photos, "--requested", table, "--readings", read, "--output", output)
    result = evaluate(*options)
    assert result.exit_code == 0, result.output
    report = json.loads((output / "report.json").read_text())
    assert report["estimator"] == "py-feat (probability x 5)"
    source, picture = report["records"]
    assert source["faces"] is None  # nobody looked, and nothing is scored there
    assert picture["faces"] == 2 and picture["measured"] == {"6": 3.0, "12": 2.0}
    assert report["lines"][0]["value"] == pytest.approx((0 + 4) / 2)
    assert "AU43" in report["not_measured"] and picture["metrics"]["picture_rmse"] > 0.1
    read.write_text(read.read_text().replace("0.6", "0.5"))
    assert "holds another run: its settings" in evaluate(*options).output


def test_a_table_that_numbers_pictures_is_of_the_folder_by_name(
    tmp_path: Path, photos: Path, table: Path
) -> None:
    read = readings_of(tmp_path, "frame,AU06_r,AU12_r", "1,0,0", "2,3,4")
    output = tmp_path / "run"
    result = evaluate(photos, "--requested", table, "--readings", read, "--output", output)
    assert result.exit_code == 0, result.output
    records = json.loads((output / "report.json").read_text())["records"]
    assert [record["measured"] for record in records] == [
        {"6": 0.0, "12": 0.0},
        {"6": 3.0, "12": 4.0},
    ]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (("frame,AU12_r", "1,1", "3,1"), "has frame 3, but .* holds 2 pictures, counted from 1"),
        (("input,AU12", "person0.png,1"), "did not read 1 of 1 pictures, such as .*person1.png"),
        (("input,AU12", "a/person1.png,1", "b/person1.png,1"), "two pictures that may be person1"),
        (("frame,input,AU12", "0,a.png,1", "1,a.png,1"), "gives a.png to two pictures"),
        (("input,AU12", "person1.png,"), "shows no face in its 1 pictures"),
    ],
)
def test_readings_that_do_not_fit(
    tmp_path: Path, photos: Path, table: Path, lines: tuple, words: str
) -> None:
    read = readings_of(tmp_path, *lines)
    options = ("--requested", table, "--readings", read, "--output", tmp_path / "run")
    result = evaluate(photos, *options)
    assert result.exit_code == 1 and re.search(words, result.output), result.output
    both = evaluate(photos, *options, "--estimator", READER)
    assert both.exit_code == 1 and "leave out --estimator" in both.output
    protocol = evaluate("fineface", *options[2:])
    assert protocol.exit_code == 1 and "--readings belongs to a folder" in protocol.output


@pytest.mark.parametrize(
    ("lines", "count", "error"),
    [
        (("frame,success,AU06_r,AU12_r", "2,1,2,2", "1,1,1,1"), 2, 0.0),
        (("frame,success,AU06_r,AU12_r", "1,0.0,0,0", "2,1.0,2,2"), 1, 0.0),
        (("AU06,AU12,input,frame", "0.4,0.4,person1.png,0", "0.2,0.2,person0.png,0"), 2, 0.0),
        (("frame,AU06_r,AU12_r", "1,1,2", "2,NA,2"), 1, 0.5),
    ],
)
def test_each_face_goes_to_its_picture(
    tmp_path: Path, photos: Path, lines: tuple[str, ...], count: int, error: float
) -> None:
    asked, output = tmp_path / "asked.csv", tmp_path / "run"
    asked.write_text("file,aus\nperson0.png,6A+12A\nperson1.png,6B+12B\n")
    read = readings_of(tmp_path, *lines)
    result = evaluate(photos, "--requested", asked, "--readings", read, "--output", output)
    assert result.exit_code == 0, result.output
    line = json.loads((output / "report.json").read_text())["lines"][0]
    assert (line["count"], line["value"]) == (count, pytest.approx(error))


def test_a_zero_that_was_asked_for_is_scored(tmp_path: Path, photos: Path) -> None:
    asked, output = tmp_path / "asked.csv", tmp_path / "run"
    asked.write_text("file,aus\nperson0.png,12:0\nperson1.png,12B\n")
    read = readings_of(tmp_path, "frame,AU12_r", "1,1", "2,2")
    result = evaluate(photos, "--requested", asked, "--readings", read, "--output", output)
    assert result.exit_code == 0, result.output
    line = json.loads((output / "report.json").read_text())["lines"][0]
    assert (line["count"], line["value"]) == (2, pytest.approx(0.5))


def test_no_name_of_a_picture_is_a_formula_in_the_report(tmp_path: Path, photos: Path) -> None:
    (photos / "person0.png").rename(photos / "=1+2.png")
    asked, output = tmp_path / "asked.csv", tmp_path / "run"
    asked.write_text("file,aus\n=1+2.png,12A\n")
    read = readings_of(tmp_path, "input,AU12", "=1+2.png,0.2")
    result = evaluate(photos, "--requested", asked, "--readings", read, "--output", output)
    assert result.exit_code == 0, result.output
    (row,) = csv.DictReader((output / "report.csv").open())
    assert row["id"] == "'=1+2.png" and row["requested_12"] == "1.0"
    assert json.loads((output / "report.json").read_text())["records"][0]["id"] == "=1+2.png"


def test_pictures_of_a_run_beside_real_ones(tmp_path: Path, photos: Path) -> None:
    for number in range(3):
        grey(photos / f"made{number}.png", 60 * number)
    (tmp_path / "asked.csv").write_text(
        "file,aus,source\n" + "".join(f"made{n}.png,12B,\n" for n in range(3))
    )
    (tmp_path / "real").mkdir()
    for number in range(4):
        grey(tmp_path / "real" / f"{number}.png", 30 + 60 * number)
    asked = ("evaluate", photos, "--requested", tmp_path / "asked.csv")
    real, plain = ("--real", tmp_path / "real"), ("--features", f"{__name__}:mean_colour")
    result = run(*asked, *real, *plain, "--output", tmp_path / "plain")
    assert result.exit_code == 0, result.output
    lines = json.loads((tmp_path / "plain" / "report.json").read_text())["lines"]
    found = {line["metric"]: line for line in lines}
    assert found["fid"]["count"] == 3 and found["fid"]["estimator"].endswith(":mean_colour")
    assert found["fid"]["value"] > 0 and "kid" in found and "inception_score" not in found
    both = ("--features", f"{__name__}:colours_and_classes")
    assert run(*asked, *real, *both, "--output", tmp_path / "both").exit_code == 0
    assert "| all | inception_score | 1.0" in (tmp_path / "both" / "report.md").read_text()
    alone = run(*asked, *real, "--output", tmp_path / "alone")
    assert alone.exit_code == 1 and "--features MODULE:FUNCTION" in alone.output
    (tmp_path / "one").mkdir()
    grey(tmp_path / "one" / "0.png", 30)
    few = run(*asked, "--real", tmp_path / "one", *plain, "--output", tmp_path / "few")
    assert few.exit_code == 1 and "one has 1 pictures: FID and KID compare two sets" in few.output
