"""DISFA and AffectNet as published: folds, steps and corrections of FineFace, worked by hand."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from labelled_faces import write_disfa, write_picture, write_table

from au_adapter.data.affectnet import AffectNetSource, fit_correction
from au_adapter.data.disfa import FOLDS, RELEASED_NEUTRAL, DISFASource
from au_adapter.data.preparation import Preparation, judge
from au_adapter.data.prepare_shards import VARIANTS, prepare
from au_adapter.facs import SET_A


@pytest.fixture
def disfa(tmp_path: Path) -> Path:
    smile = [{12: 3}, {6: 1, 12: 5}]
    return write_disfa(
        tmp_path / "disfa", {"SN001": [*smile, {}], "SN004": [{4: 2}], "SN013": [{}] * 40}
    )


def faces(disfa: Path, **settings: object) -> list:
    return list(DISFASource(disfa / "frames", disfa / "labels", **settings).faces())


def test_the_folds_are_three_of_nine() -> None:
    subjects = [subject for fold in FOLDS.values() for subject in fold]
    assert {len(fold) for fold in FOLDS.values()} == {9}
    assert len(set(subjects)) == 27 and set(subjects) < set(range(1, 33))


def test_disfa_frames_and_labels(disfa: Path) -> None:
    found = faces(disfa)
    assert len(found) == 44
    assert found[1].file == disfa / "frames" / "SN001" / "00001.jpg"
    assert found[1].aus == {**{str(unit): 0.0 for unit in SET_A}, "6": 1.0, "12": 5.0}
    assert found[1].about == {"subject": "SN001", "frame": 1, "fold": 1}


@pytest.mark.parametrize(("folds", "count"), [((1,), 3), ((2,), 40), ((3,), 1), ((1, 3), 4)])
def test_disfa_by_folds(disfa: Path, folds: tuple[int, ...], count: int) -> None:
    assert len(faces(disfa, folds=folds)) == count


def test_disfa_captions_go_by_row_over_all_subjects(disfa: Path, tmp_path: Path) -> None:
    rows = [{"caption": f"frame {n}"} for n in range(44)]
    table = write_table(tmp_path / "captions.csv", rows)
    captions = [f.caption for f in faces(disfa, folds=(2, 3), captions=table)]
    assert captions == [f"frame {n}" for n in range(3, 44)]
    write_table(table, [{"text": "x"}])
    with pytest.raises(ValueError, match="has no column 'caption'; its columns are text"):
        faces(disfa, captions=table)


@pytest.mark.parametrize(("rows", "how"), [(43, "fewer"), (45, "more")])
def test_disfa_captions_of_other_subjects_are_refused(
    disfa: Path, tmp_path: Path, rows: int, how: str
) -> None:
    table = write_table(tmp_path / "captions.csv", [{"caption": str(n)} for n in range(rows)])
    with pytest.raises(ValueError, match=f"captions.csv has {how} rows than the 3 subjects"):
        faces(disfa, captions=table)


def test_disfa_keeps_some_faces_without_aus(disfa: Path) -> None:
    cards = {
        variant: prepare(
            "disfa", disfa / "frames", disfa / "labels", disfa / variant, variant=variant
        )
        for variant in ("paper", "released")
    }
    assert cards["released"]["faces"] == 44  # fewer than 8,305 neutral frames: all stay
    assert 3 < cards["paper"]["faces"] < 14  # 3, and about one in ten of 41
    assert cards["paper"]["steps"][2]["step"] == "no AU at all, 0.1 of them kept"
    unasked = prepare("disfa", disfa / "frames", disfa / "labels", disfa / "unasked")
    assert unasked["settings"]["variant"] == VARIANTS["disfa"]


def test_disfas_released_share_makes_8305(disfa: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert RELEASED_NEUTRAL == 8305
    monkeypatch.setattr("au_adapter.data.disfa.RELEASED_NEUTRAL", 10)
    step = DISFASource(disfa / "frames", disfa / "labels").steps[2]
    assert step.name == "no AU at all, 0.2439 of them kept"  # 10 of 41


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda d: (d / "labels/SN001/SN001_au4.txt").unlink(), "au4.txt and 0 other files"),
        (lambda d: (d / "labels/SN001/SN001_au4.txt").write_text("1,0\n"), "differ in length"),
        (lambda d: (d / "labels/SN001/SN001_au4.txt").write_text("a b c"), "line 1 .*'a b c'"),
        (lambda d: (d / "labels/SN001").rename(d / "labels/SN099"), "SN099 .* no subject of DISFA"),
        (lambda d: (d / "labels/SN001/SN001_au4.txt").write_bytes(b"1,\xe9"), "line 1 .*UTF-8"),
        (lambda d: (d / "labels").rename(d / "other"), "DISFA needs its labels"),
    ],
)
def test_disfas_trouble_is_named(disfa: Path, break_it, message: str) -> None:
    break_it(disfa)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        faces(disfa)


def metadata(folder: Path, number: int = 0, **changes: object) -> dict:
    """A row of FineFace's metadata: a large photo with AU12 at 0.8 of 1."""
    row = {"ImageName": f"Manually/{number}.png", "TextDescription": "a man",
           "HasFace": "1", "IsPhoto": "True", "IsReal": "True",
           "ImageResolutionX": 512, "ImageResolutionY": 512,
           **{f"AU{unit}_rec": 0.0 for unit in SET_A}, "AU12_rec": 0.8}  # fmt: skip
    write_picture(folder / "Manually" / f"{number}.png", number)
    return {**row, **changes}


CASES = [  # what is changed; the step that drops it in the paper's and in the released variant
    ({}, None, "smaller than 512 x 512 pixels"),
    ({"ImageResolutionY": 513}, None, None),
    ({"ImageResolutionX": 511, "ImageResolutionY": 900}, "smaller than 512 x 512 pixels",
     "smaller than 512 x 512 pixels"),
    ({"HasFace": "", "ImageResolutionY": 513}, None, "no face"),
    ({"IsPhoto": "False", "ImageResolutionY": 513}, "a cartoon", "a cartoon"),
    ({"IsReal": "False", "ImageResolutionY": 513}, "not a real photo", "not a real photo"),
    ({"AU12_rec": 0.03, "ImageResolutionY": 513}, "AUs of less than 0.2 in all",
     "no AU above 0.2 on the scale 0..1"),
    ({"AU12_rec": 0.04, "ImageResolutionY": 513}, None, "no AU above 0.2 on the scale 0..1"),
    ({"AU12_rec": 0.21, "ImageResolutionY": 513}, None, None),
    ({"AU12_rec": "", "ImageResolutionY": 513}, "no label", "no label"),
    ({"ImageName": "gone.png"}, "no such file", "no such file"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "paper", "released"), CASES)
def test_affectnets_steps(
    tmp_path: Path, changes: dict, paper: str | None, released: str | None
) -> None:
    table = write_table(tmp_path / "t.csv", [metadata(tmp_path, **changes)])
    for variant, expected in (("paper", paper), ("released", released)):
        source = AffectNetSource(tmp_path, table, variant=variant)
        assert judge(list(source.faces()), source.steps) == [expected]


class Answers:
    """Says that pictures with an odd grey are cartoons."""

    name = "answers"

    def answer(self, pictures, question: str) -> list[str]:
        cartoon = [bool(p.getpixel((0, 0))[0] % 2) for p in pictures]
        return ["yes" if c == ("cartoon" in question) else "No" for c in cartoon]


def test_affectnet_labelled_by_another_tool_is_measured_and_asked(tmp_path: Path) -> None:
    rows = []
    for n, size in enumerate(((512, 600), (512, 600), (511, 600))):
        write_picture(tmp_path / f"{n}.png", n, size)
        rows.append({"file": f"{n}.png", "au_12_intensity": 4.0})
    table = write_table(tmp_path / "t.csv", rows)
    source = AffectNetSource(tmp_path, table, "libreface", answerer=Answers())
    assert judge(list(source.faces()), source.steps) == [
        None, "a cartoon", "smaller than 512 x 512 pixels",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="Nothing can tell whether a picture is a cartoon"):
        AffectNetSource(tmp_path, table, "libreface")


def test_the_papers_correction() -> None:
    labels = [{"1": v, "15": v, "12": v} for v in (0.0, 1.0, 2.0, 4.0)]
    corrected = [fit_correction(labels, "paper")(label) for label in labels]
    # AU1: 5 (x / 4)^1.8 = 0, 0.412, 1.436, 5; AU15: 5 (x / 4)^0.8 = 0, 1.649, 2.872, 5
    assert [c["1"] for c in corrected] == pytest.approx([0, 0, 1.43586, 5], abs=1e-4)
    assert [c["15"] for c in corrected] == pytest.approx([0, 1.64938, 2.87175, 5], abs=1e-4)
    assert [c["12"] for c in corrected] == [0, 1.0, 2.0, 4.0]


def test_the_released_correction() -> None:
    labels = [{"4": v, "15": v / 2, "17": v, "12": v} for v in (0.0, 1.0, 2.0, 4.0)]
    corrected = [fit_correction(labels, "released")(label) for label in labels]
    # AU4 to its own maximum: 4 (x / 4)^1.8; AU15 and AU17 to AU17's maximum of 4, times 1.8:
    # 7.2 (x / 4)^0.8; what is below 1.1 becomes 0.
    assert [c["4"] for c in corrected] == pytest.approx([0, 0, 1.14868, 4], abs=1e-4)
    for code in ("15", "17"):
        expected = [0, 2.37511, 4.13531, 7.2]
        assert [c[code] for c in corrected] == pytest.approx(expected, abs=1e-4)
    assert [c["12"] for c in corrected] == [0, 0, 2.0, 4.0]


def test_min_max_starts_at_the_smallest() -> None:
    labels = [{"20": 1.0}, {"20": 2.0}, {"20": 3.0}]
    low, middle, high = (fit_correction(labels, "paper")(label)["20"] for label in labels)
    share = (2**0.8 - 1) / (3**0.8 - 1)
    assert (low, high) == (0.0, pytest.approx(5.0)) and middle == pytest.approx(5 * share)
    assert fit_correction([{"20": 2.0}], "paper")({"20": 2.0}) == {"20": 2.0}


def test_sides_share_the_range_of_their_unit() -> None:
    correct = fit_correction([{"L1": 0.0, "R1": 4.0}], "paper")
    assert correct({"L1": 2.0, "R1": 4.0}) == pytest.approx({"L1": 5 * 0.5**1.8, "R1": 5.0})


def test_affectnet_end_to_end(tmp_path: Path) -> None:
    changes = [{"AU12_rec": 0.1}, {"AU1_rec": 0.5}, {"AU1_rec": 1.0}, {"IsPhoto": "False"}]
    table = write_table(
        tmp_path / "t.csv", [metadata(tmp_path, n, **c) for n, c in enumerate(changes)]
    )
    card = prepare("affectnet", tmp_path, table, tmp_path / "out")
    assert card["faces"] == card["captioned"] == 3
    assert card["settings"]["variant"] == "paper" and card["settings"]["format"] == "fineface"
    # AU1 0, 2.5, 5 -> 0, 5 / 2^1.8 = 1.44, 5; AU12 0.5, 4, 4 -> 0, 4, 4
    assert card["units"]["1"]["grades"] == [1, 1, 0, 0, 0, 1]
    assert card["units"]["12"]["grades"] == [1, 0, 0, 0, 2, 0]


def test_both_variants_have_names(tmp_path: Path) -> None:
    table = write_table(tmp_path / "t.csv", [metadata(tmp_path)])
    with pytest.raises(ValueError, match="the variant is paper or released, not 'code'"):
        AffectNetSource(tmp_path, table, variant="code")
    source = AffectNetSource(tmp_path, table)
    card = Preparation(source, tmp_path / "out", fit=partial(fit_correction, variant="paper")).run()
    assert card["units"]["12"]["grades"][4] == 1
