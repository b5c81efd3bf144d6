"""A batch of pictures against what was asked for: names, numbers by hand, what is missing."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from au_adapter.estimators.reading import Reading, ReadingSet
from au_adapter.evaluation.comparison import Comparison, comparison
from au_adapter.evaluation.fit_calibration import fit_calibration, observations
from au_adapter.evaluation.picture_report import (
    ReferencePictures,
    batch_name,
    evaluate_pictures,
    facs_name,
)
from au_adapter.evaluation.plots import (
    bar_chart,
    calibration_plot,
    cross_talk,
    report_plots,
    sentence_picture,
)
from au_adapter.evaluation.report import Report
from au_adapter.facs import ALL_UNITS, AUVector
from au_adapter.metrics import checks

UNITS = (4, 12)


def seen(*rows: tuple[float, float] | None, doubles: tuple[int, ...] = ()) -> ReadingSet:
    """What was read in each picture; None without a face, and a second face in `doubles`."""
    found = []
    for i, row in enumerate(rows):
        if i in doubles:
            found.append(Reading(i, 1, (0, 0, 1, 1), 0.3, AUVector(UNITS, torch.full((1, 2), 5.0))))
        if row is not None:
            found.append(Reading(i, 0, (0, 0, 1, 1), 0.9, AUVector(UNITS, torch.tensor([row]))))
    return ReadingSet("by hand", len(rows), tuple(found))


def asked(*rows: tuple[float, float]) -> AUVector:
    return AUVector(UNITS, torch.tensor(rows))


def pictures(count: int) -> torch.Tensor:
    return torch.rand(count, 8, 8, 3, generator=torch.Generator().manual_seed(1))


def lines(report: Report) -> dict[str, tuple[float, int, str]]:
    return {
        line.metric: (pytest.approx(line.value, abs=1e-5), line.count, line.estimator)
        for line in report.lines
    }


SWEEP = asked((0, 0), (0, 2), (0, 4))
READ = seen((1, 0), (1, 1), None, doubles=(1,))


@pytest.mark.parametrize(
    ("aus", "name"),
    [
        ({"12": 4, "6": 3}, "AU06C+12D"),
        ({"R12": 1, "L14": 2.5}, "AUR12A+L14=2.5"),
        ({"1": -5.0}, "AU01=-5"),
        ({}, "AU00"),
        ({"12": 0.0}, "AU00"),
        ({"12": 2.54321, "4": 0.02}, "AU12=2.5"),
    ],
)
def test_names_by_facs_code_sort_by_au(aus: dict, name: str) -> None:
    assert facs_name(aus) == name


def test_a_name_of_all_units_with_sides_still_fits_a_file_system() -> None:
    aus = {f"{side}{unit}": 1.5 + 0.1 * unit for unit in ALL_UNITS for side in "LR"}
    name = facs_name(aus)
    assert len(name) < 110 and name.startswith("AUL01=1.6+R01=1.6+L02=") and name.endswith("+more")


def test_numbers_by_hand() -> None:
    report = evaluate_pictures(pictures(3), SWEEP, READ)
    # Asked for 0 and 2 of AU12 and measured 0 and 1; over both AUs also 1 and 1 of AU4.
    assert lines(report) == {"au_mse": (0.5, 2, "by hand"), "au_mse_all": (0.75, 2, "by hand")}
    assert report.counts["face not found"] == 1 and report.counts["scored for AUs"] == 2
    assert report.counts["several faces, the most confident one read"] == 1
    assert [row.id for row in report.rows] == ["AU00_0001", "AU12B_0002", "AU12D_0003"]
    assert report.files() == ["AU00_0001.png", "AU12B_0002.png", "AU12D_0003.png"]
    assert batch_name(report) == "AU12"
    (table, mean) = report.tables["all"]
    assert table.unit == 12 and table.count == 2 and mean.r2 == pytest.approx(1)


def test_one_vector_serves_all_pictures_and_names_the_report() -> None:
    report = evaluate_pictures(pictures(2), AUVector.parse("6C+12D"), seen((0, 4), (0, 2)))
    assert batch_name(report) == "AU12D"
    assert lines(report)["au_mse"][0] == 2.0
    assert "AU6: by hand does not read it" in report.markdown()


def test_changes_are_added_to_what_the_source_shows() -> None:
    source = ReferencePictures(pictures(1), seen((3, 1)))
    change = asked((4, 1), (-4, 0))
    report = evaluate_pictures(
        pictures(2), change, seen((5, 2), (0, 3)), source=source, scale="change"
    )
    # Targets (5, 2) and (0, 1), kept within 0..5; measured the same but for AU12 = 3.
    assert lines(report)["au_mse"] == (1.0, 2, "by hand")
    assert [row.reference for row in report.rows[1:]] == ["source_0001"] * 2


def test_beside_a_source_what_can_be_compared_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AU_ADAPTER_CACHE", str(tmp_path))  # where no network lies
    images = pictures(1).repeat(2, 1, 1, 1)
    images[1] = (images[1] + 0.5) % 1
    report = evaluate_pictures(
        images, SWEEP.face(1), source=ReferencePictures(images[:1]), compare=comparison()
    )
    by_pixels = (images[1] - images[0]).square().mean().sqrt().item() / 2
    assert lines(report)["picture_rmse"] == (by_pixels, 2, "")
    text = report.markdown()
    for metric, words in {
        "au_mse": "connect AU_READING",
        "clip_i": "Load CLIP Vision",
        "identity_l2": "face recognition network",
        "lpips": "alexnet",
        "background_rmse": "au-adapter download face-landmarker",
        "person_rmse": "au-adapter download person-segmenter",
        "look": "au-adapter download face-landmarker",
        "head_pose_rmse": "au-adapter download face-landmarker",
    }.items():
        assert any(line.startswith(f"- {metric}: ") and words in line for line in text.splitlines())
    assert report.counts["face not found"] == 0  # nobody looked


def test_alpha_beside_no_alpha_and_grey_are_compared() -> None:
    images = pictures(2)
    with_alpha = torch.cat([images, torch.rand(2, 8, 8, 1)], -1)
    for ours, theirs in ((with_alpha, images[:1]), (images, with_alpha[:1]), (images, images)):
        report = evaluate_pictures(
            ours, SWEEP.face(1), source=ReferencePictures(theirs), compare=comparison()
        )
        assert "picture_rmse" in lines(report)
    grey = images[..., :1]
    report = evaluate_pictures(
        grey, SWEEP.face(1), source=ReferencePictures(grey.repeat(1, 1, 1, 3)), compare=comparison()
    )
    assert lines(report)["picture_rmse"][0] == 0


def test_given_networks_are_used_and_named() -> None:
    calls = []

    def embed(images: torch.Tensor) -> torch.Tensor:
        calls.append(len(images))
        return images.mean((1, 2)) + 0.1

    images = pictures(3)
    compare = comparison(clip=embed, clip_name="a CLIP", identity=embed)
    report = evaluate_pictures(
        images, SWEEP, READ, source=ReferencePictures(images[:1]), compare=compare
    )
    # The first picture asks for nothing and is the source: their reference, and no row of its own.
    assert lines(report)["clip_i"][1:] == (2, "a CLIP")
    assert report.rows[0].metrics is None and report.rows[0].group == "reference"
    assert report.rows[1].metrics["identity_l2"] > 0
    assert calls == [2, 1] * 3  # the one source is looked at once for each metric


def test_likeness_to_the_base_has_a_name_of_its_own() -> None:
    images, base = pictures(3), pictures(4)[3:]
    compare = comparison(clip=lambda x: x.mean((1, 2)) - 0.4)
    found = compare.beside_base(images, base)
    expected = compare(images, base)["clip_i"]
    assert found.keys() == {"clip_i_base"} and torch.equal(found["clip_i_base"], expected)
    assert comparison().beside_base(images, base) == {}


def test_the_reference_among_the_pictures_is_no_row() -> None:
    """As AU Protocol hands them out: the picture without AUs first, then one AU after another."""
    images, aus = pictures(3), asked((0, 0), (3, 0), (0, 2))
    read = seen((0, 1), (1, 0), (0, 2))
    report = evaluate_pictures(images, aus, read, source=ReferencePictures(images[:1]))
    # Asked for 3 and 2, measured 1 and 2: (4 + 0) / 2. As a row, the reference was asked for 0 of
    # both AUs and measured 0 and 1, and the error came out as (4 + 0 + 1 / 2) / 3.
    assert lines(report)["au_mse"] == (2.0, 2, "by hand")
    assert [row.group for row in report.rows] == ["reference", "all", "all"]
    assert report.rows[0].requested == {} and report.rows[0].measured == {"4": 0.0, "12": 1.0}
    assert report.counts["made"] == report.counts["asked for"] == 2
    assert len(report.files()) == 3 and report.files()[0] == "AU00_0001.png"
    assert {row.reference for row in report.scored()} == {"AU00_0001"}
    # A change is measured from what was read in it.
    change = evaluate_pictures(
        images, aus, read, source=ReferencePictures(images[:1], seen((0, 1))), scale="change"
    )
    assert lines(change)["au_mse"][0] == ((4 + 1) / 2 + (0 + 1) / 2) / 2
    # Another picture without AUs is a row, as the beginning of a sweep is.
    other = evaluate_pictures(images, aus, read, source=ReferencePictures(images[:1] / 2))
    assert other.counts["made"] == 3


def test_pictures_that_are_not_finite_are_named_and_the_others_compared() -> None:
    images, sources = pictures(3), pictures(3) / 2
    images[1, 0, 0, 0], sources[2, 0, 0, 0] = torch.nan, torch.inf
    compare = comparison(clip=lambda x: x.mean((1, 2)) + 0.1)
    read = seen((1, 0), (1, 1), (1, 4))
    report = evaluate_pictures(
        images,
        SWEEP,
        read,
        source=ReferencePictures(sources, seen((0, 0), (0, 0), (0, 0))),
        compare=compare,
    )
    by_pixels = (images[0] - sources[0]).square().mean().sqrt().item()
    assert lines(report)["picture_rmse"] == (by_pixels, 1, "")
    assert lines(report)["clip_i"][1] == 1 and report.counts["scored for AUs"] == 2
    assert report.counts["not finite"] == report.counts["not finite in the reference"] == 1
    assert report.counts["face not found"] == 0
    assert report.not_finite() == ["source_0003", "AU12B_0002"]
    one = evaluate_pictures(
        images, SWEEP, read, source=ReferencePictures(sources[:1]), compare=compare
    )
    assert lines(one)["picture_rmse"][1] == 2
    none = evaluate_pictures(
        images, SWEEP, read, source=ReferencePictures(sources[2:]), compare=compare
    )
    assert "picture_rmse" not in lines(none) and "source_0001" in none.markdown()
    assert report_plots(none).shape[1:] == (600, 960, 3)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: evaluate_pictures(pictures(2), SWEEP, READ), "3 AU vectors.*2 pictures"),
        (lambda: evaluate_pictures(pictures(3), SWEEP, seen((0, 0))), "readings are of 1"),
        (lambda: evaluate_pictures(pictures(3), SWEEP), "nothing to measure: connect AU_READING"),
        (
            lambda: evaluate_pictures(pictures(3), SWEEP, READ, scale="change"),
            "source picture that was read",
        ),
        (
            lambda: Comparison({})(pictures(3), torch.zeros(3, 4, 8, 3)),
            "cannot be compared.*one size",
        ),
    ],
)
def test_mistakes_are_sentences(call, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()


def test_faces_turned_away_are_counted() -> None:
    turned = tuple(replace(reading, turn=41.0) for reading in READ.readings)
    report = evaluate_pictures(pictures(3), SWEEP, replace(READ, readings=turned))
    assert report.counts["turned further than 40 degrees, the AUs a guess"] == 2
    assert "| turned further than 40 degrees, the AUs a guess | 2 |" in report.markdown()


def test_csv_and_json_hold_every_picture() -> None:
    report = evaluate_pictures(pictures(3), SWEEP, READ)
    rows = list(csv.DictReader(io.StringIO(report.csv())))
    assert [row["target"] for row in rows] == report.files()
    assert rows[1]["requested_12"] == "2.0" and rows[1]["measured_4"] == "1.0"
    assert rows[2]["faces"] == "0" and rows[2]["measured_12"] == ""
    line = json.loads(report.json())["lines"][0]
    assert (line["metric"], line["unit"], line["estimator"]) == ("au_mse", "intensity^2", "by hand")


def both(left: tuple[float, float], right: tuple[float, float], picture: int = 0) -> Reading:
    """A face whose sides were read apart."""
    sides = (torch.tensor([side]) for side in (left, left, right))
    return Reading(picture, 0, (0, 0, 1, 1), 0.9, AUVector(UNITS, *sides))


@pytest.mark.parametrize(
    ("left", "right", "error"),
    [((0, 5), (0, 0), 0.0), ((0, 0), (0, 5), 25.0), ((0, 2.5),) * 2 + (6.25,)],
)
def test_a_wink_of_the_wrong_side_is_an_error(left: tuple, right: tuple, error: float) -> None:
    read = ReadingSet("by hand", 1, (both(left, right),))
    report = evaluate_pictures(pictures(1), AUVector.parse("L12E"), read)
    assert lines(report)["au_mse"] == (error, 1, "by hand")
    assert report.columns == (4, "L12", "R12") and report.header.not_measured == {}
    assert [score.unit for score in report.tables["all"]] == ["L12", "R12", None]
    (row,) = csv.DictReader(io.StringIO(report.csv()))
    assert (row["requested_L12"], row["requested_R12"]) == ("5.0", "0.0")
    assert (row["measured_L12"], row["measured_R12"]) == (str(float(left[1])), str(float(right[1])))
    assert json.loads(report.json())["per_unit"]["all"][0]["unit"] == "L12"


def test_sides_beside_requests_for_both_and_for_nothing() -> None:
    """AU4 is asked for alike on both sides: it stays one column."""
    aus = AUVector.stack([AUVector.parse(t) for t in ("L12C", "4B+12C", "12:0", "R12C")])
    faces = [both((1, 3), (1, 0)), both((2, 3), (2, 3), 1), both((0, 0), (0, 1), 2)]
    report = evaluate_pictures(pictures(4), aus, ReadingSet("by hand", 4, tuple(faces)))
    rows = list(csv.DictReader(io.StringIO(report.csv())))
    assert [row["requested_R12"] for row in rows] == ["0.0", "3.0", "0.0", "3.0"]
    assert [row["requested_4"] for row in rows] == ["", "2.0", "0.0", ""]
    assert [row["measured_4"] for row in rows] == ["1.0", "2.0", "0.0", ""]
    assert lines(report)["au_mse"] == ((0 + 0 + 1 / 3) / 3, 3, "by hand")
    assert batch_name(report) == "AU04+12" and report_plots(report).shape[1:] == (600, 960, 3)


def test_a_change_of_one_side_is_added_to_that_side() -> None:
    source = ReferencePictures(pictures(1), ReadingSet("by hand", 1, (both((0, 1), (0, 2)),)))
    read = ReadingSet("by hand", 1, (both((0, 3), (0, 2)),))
    change = AUVector.parse("L12B")
    report = evaluate_pictures(pictures(1), change, read, source=source, scale="change")
    assert lines(report)["au_mse"] == (0.0, 1, "by hand")


def test_a_reader_without_sides_is_named() -> None:
    report = evaluate_pictures(pictures(1), AUVector.parse("L12E"), seen((0, 2.5)))
    assert report.header.not_measured == {
        "L12 and R12": "by hand reads no sides, and their mean is scored"
    }
    (row,) = csv.DictReader(io.StringIO(report.csv()))
    assert row["requested_12"] == "2.5" and lines(report)["au_mse"][0] == 0.0


def test_cross_talk_of_one_side() -> None:
    aus = AUVector.stack([AUVector.parse(text) for text in ("L12A", "L12C", "R12A", "R12C")])
    faces = [both((0, 1), (0, 0)), both((0, 3), (0, 1), 1)]
    faces += [both((0, 0), (0, 2), 2), both((0, 0), (0, 6), 3)]
    report = evaluate_pictures(pictures(4), aus, ReadingSet("by hand", 4, tuple(faces)))
    rows, slopes = cross_talk(report)
    assert rows == ["L12", "R12"]
    assert slopes.tolist() == [[0.0, 1.0, 0.5], [0.0, 0.0, 2.0]]


def test_cross_talk_is_a_slope_for_each_au_asked_for_alone() -> None:
    aus = asked((0, 2), (0, 4), (3, 0), (1, 0), (2, 2))
    read = seen((1, 1), (2, 2), (3, 0), (1, 0), (5, 5))
    rows, slopes = cross_talk(evaluate_pictures(pictures(5), aus, read))
    assert rows == [4, 12]
    assert slopes.tolist() == [[1.0, 0.0], [0.5, 0.5]]


def test_plots_are_pictures_of_one_size_with_something_on_them() -> None:
    report = evaluate_pictures(pictures(3), SWEEP, READ)
    plots = report_plots(report)
    assert plots.shape == (2, 600, 960, 3) and plots.dtype == torch.float32
    assert all(0.001 < (plot < 0.5).float().mean() < 0.5 for plot in plots)
    requested, read = asked((0, 0), (0, 2), (4, 0)), seen((0, 0), (0, 1), (2, 0))
    both = evaluate_pictures(pictures(3), requested, read)
    assert torch.equal(report_plots(both)[:1], bar_chart(both))
    curves = calibration_plot(fit_calibration(requested, read), observations(requested, read))
    assert curves.shape == (1, 600, 960, 3)


def test_without_matplotlib_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name="matplotlib")

    monkeypatch.setattr(checks, "import_module", missing)
    with pytest.raises(RuntimeError, match=r'pip install "au-adapter\[eval\]"') as error:
        report_plots(evaluate_pictures(pictures(3), SWEEP, READ))
    picture = sentence_picture(str(error.value))
    assert picture.shape == (1, 120, 960, 3) and (picture < 0.5).any()
