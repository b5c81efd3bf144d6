"""From a source to shards: steps count, a stopped run goes on, trouble is said in one line."""

from __future__ import annotations

import errno
import json
import logging
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from labelled_faces import FixedSource, write_picture, write_table
from PIL import Image

from au_adapter.cli import main
from au_adapter.data import preparation as prepare_module
from au_adapter.data.card import read_card
from au_adapter.data.face_source import (
    LABEL_STEPS,
    PICTURE_STEPS,
    Asked,
    LabelledFace,
    sampled,
)
from au_adapter.data.labelled_folder import LabelledFolder
from au_adapter.data.preparation import Preparation
from au_adapter.data.prepare_shards import prepare
from au_adapter.data.shards import decode_picture, find_shards, picture_of, read_shard


class Greys:
    """Describes a picture by its grey, and counts how many it saw."""

    name = "greys"

    def __init__(self):
        self.seen: list[int] = []

    def caption(self, pictures: Sequence[Image.Image]) -> list[str]:
        self.seen += [picture.getpixel((0, 0))[0] for picture in pictures]
        return [f"grey {grey}" for grey in self.seen[-len(pictures) :]]

    def answer(self, pictures: Sequence[Image.Image], question: str) -> list[str]:
        return ["Yes." if p.getpixel((0, 0))[0] % 2 else "no" for p in pictures]


def faces(folder: Path, count: int = 10, caption: str = "") -> list[LabelledFace]:
    return [
        LabelledFace(write_picture(folder / f"{n}.png", n), {"12": n / 4, "L4": 1.0}, caption)
        for n in range(count)
    ]


def prepared(folder: Path) -> dict[int, dict]:
    """Label by grey of all faces of a folder of shards, in order."""
    parts = [part for shard in find_shards(folder) for part in read_shard(shard)]
    return {int(decode_picture(picture_of(p))[0, 0, 0]): json.loads(p["json"]) for p in parts}


def source(folder: Path, **settings: object) -> FixedSource:
    return FixedSource(faces(folder), (*LABEL_STEPS, *PICTURE_STEPS), **settings)


def test_faces_become_shards_and_a_card(tmp_path: Path) -> None:
    card = Preparation(source(tmp_path / "in"), tmp_path / "out", part=4).run()
    labels = prepared(tmp_path / "out")
    assert list(labels) == list(range(10))
    assert labels[6]["units"] == {"4": 0.5, "12": 1.5} and labels[6]["right"]["4"] == 0.0
    assert card == read_card(tmp_path / "out")
    assert card["shards"] == {f"shard-{n:05d}.tar": k for n, k in enumerate((4, 4, 2))}
    assert card["faces"] == card["uneven"] == 10 and card["captioned"] == 0
    # 0, .25, .5 -> 0; .75, 1, 1.25, 1.5 -> 1 1 1 2; 1.75, 2, 2.25 -> 2
    assert card["units"]["12"] == {"labelled": 10, "mean": 1.125, "grades": [3, 3, 4, 0, 0, 0]}
    assert [(s["in"], s["dropped"]) for s in card["steps"]] == [(10, 0)] * 4


def test_each_step_counts_what_it_drops(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = faces(tmp_path / "in")
    rows[0] = LabelledFace(rows[0].file, None)
    rows[1] = LabelledFace(rows[1].file, {"12": 60.0})
    rows[2].file.unlink()
    rows[3].file.write_bytes(rows[3].file.read_bytes()[:50])
    rows[4].file.write_text("no picture")
    steps = (
        *LABEL_STEPS,
        *PICTURE_STEPS,
        Asked("even", lambda answer: answer.startswith("yes"), Greys(), "Odd?"),
    )
    with caplog.at_level(logging.WARNING, "au_adapter"):
        card = Preparation(FixedSource(rows, steps), tmp_path / "out", part=3).run()
    assert card["steps"] == [
        {"step": "no label", "in": 10, "dropped": 1},
        {"step": "an intensity outside 0..5", "in": 9, "dropped": 1},
        {"step": "no such file", "in": 8, "dropped": 1},
        {"step": "unreadable picture", "in": 7, "dropped": 2},
        {"step": "even", "in": 5, "dropped": 2},
    ]
    assert list(prepared(tmp_path / "out")) == [5, 7, 9] and card["faces"] == 3
    assert f"{rows[3].file} cannot be read: no picture, or damaged" in caplog.text
    assert sorted(p.name for p in (tmp_path / "out").glob("*.tar")) == list(card["shards"])


def test_a_stopped_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class PowerCut(Exception):
        pass

    def cut_off(path: Path, content: object) -> int:
        if path.name == "shard-00002.tar":
            raise PowerCut
        return write_shard(path, content)

    write_shard, captioner = prepare_module.write_shard, Greys()
    made = Preparation(source(tmp_path / "in"), tmp_path / "out", captioner=captioner, part=3)
    monkeypatch.setattr(prepare_module, "write_shard", cut_off)
    with pytest.raises(PowerCut):
        made.run()
    assert captioner.seen == [0, 1, 2, 3, 4, 5] and read_card(tmp_path / "out") is None
    written = find_shards(tmp_path / "out")[0].stat().st_mtime_ns
    monkeypatch.setattr(prepare_module, "write_shard", write_shard)
    made.run()
    assert captioner.seen == list(range(10))
    assert find_shards(tmp_path / "out")[0].stat().st_mtime_ns == written
    whole = Preparation(source(tmp_path / "in"), tmp_path / "whole", captioner=Greys(), part=3)
    assert made.run() == whole.run()
    for one, other in zip(
        find_shards(tmp_path / "out"), find_shards(tmp_path / "whole"), strict=True
    ):
        assert one.read_bytes() == other.read_bytes()


def test_corrected_labels_are_not_mixed_with_the_old_ones(tmp_path: Path) -> None:
    rows = faces(tmp_path / "in", 4)
    Preparation(FixedSource(rows, ()), tmp_path / "out").run()
    corrected = [*rows[:3], replace(rows[3], aus={"12": 5.0})]
    with pytest.raises(ValueError, match="prepared in another way: the labels are not those of"):
        Preparation(FixedSource(corrected, ()), tmp_path / "out").run()


def table_of(tmp_path: Path, count: int) -> Path:
    rows = [{"file": f"{n}.png", "AU12": n / 4} for n in range(count)]
    return write_table(tmp_path / "labels.csv", rows)


def test_pictures_that_came_later_are_not_left_out(tmp_path: Path) -> None:
    faces(tmp_path / "in", 1)
    arguments = "folder", tmp_path / "in", table_of(tmp_path, 10), tmp_path / "out"
    assert prepare(*arguments)["faces"] == 1
    faces(tmp_path / "more", 10)
    for file in (tmp_path / "more").glob("[1-9].png"):
        file.rename(tmp_path / "in" / file.name)
    with pytest.raises(ValueError, match="pictures were added, .*Choose another folder, or delete"):
        prepare(*arguments)
    shutil.rmtree(tmp_path / "out")
    assert prepare(*arguments)["faces"] == 10


@pytest.mark.parametrize("change", ["rewritten", "taken away", "another folder"])
def test_other_pictures_of_the_same_table_are_not_taken_for_these(
    tmp_path: Path, change: str
) -> None:
    rows, table = faces(tmp_path / "in", 3), table_of(tmp_path, 3)
    prepare("folder", tmp_path / "in", table, tmp_path / "out")
    folder = shutil.copytree(tmp_path / "in", tmp_path / "copy")  # with the times of the files
    if change == "rewritten":
        write_picture(rows[1].file, 200)
    if change == "taken away":
        rows[1].file.unlink()
    with pytest.raises(ValueError, match="or are another folder's"):
        where = folder if change == "another folder" else tmp_path / "in"
        prepare("folder", where, table, tmp_path / "out")


def test_unchanged_pictures_by_another_way_are_prepared_once(tmp_path: Path) -> None:
    faces(tmp_path / "in", 3)
    (tmp_path / "link").symlink_to(tmp_path / "in")
    table, out = table_of(tmp_path, 3), tmp_path / "out"
    card = prepare("folder", tmp_path / "in", table, out)
    written = find_shards(out)[0].stat().st_mtime_ns
    assert prepare("folder", tmp_path / "link", table, out) == card
    assert find_shards(out)[0].stat().st_mtime_ns == written


def test_what_else_a_json_line_says_is_not_mixed(tmp_path: Path) -> None:
    faces(tmp_path / "in", 1)
    line = {"file": "0.png", "aus": {"12": 1}, "subject": "S1"}
    table = tmp_path / "t.jsonl"
    table.write_text(json.dumps(line))
    prepare("folder", tmp_path / "in", table, tmp_path / "out")
    table.write_text(json.dumps({**line, "subject": "S2"}))
    with pytest.raises(ValueError, match="the labels are not those of before"):
        prepare("folder", tmp_path / "in", table, tmp_path / "out")


def test_a_full_disk_is_said_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: object) -> int:
        if path.name == "shard-00001.tar":
            raise OSError(errno.ENOSPC, "No space left on device")
        return write_shard(path, content)

    write_shard = prepare_module.write_shard
    made = Preparation(source(tmp_path / "in"), tmp_path / "out", part=4)
    monkeypatch.setattr(prepare_module, "write_shard", full)
    with pytest.raises(OSError, match="disk of .*out is full.*make room and run this again"):
        made.run()
    monkeypatch.setattr(prepare_module, "write_shard", write_shard)
    assert made.run()["faces"] == 10


def test_only_faces_without_a_caption_are_described(tmp_path: Path) -> None:
    rows = faces(tmp_path / "in", 3, "known") + faces(tmp_path / "more", 2)
    captioner = Greys()
    card = Preparation(FixedSource(rows, ()), tmp_path / "out", captioner=captioner).run()
    captions = [
        json.loads(p["json"])["caption"]
        for s in find_shards(tmp_path / "out")
        for p in read_shard(s)
    ]
    assert captions == ["known"] * 3 + ["grey 0", "grey 1"] and card["captioned"] == 5


def test_pictures_are_squashed_or_kept(tmp_path: Path) -> None:
    rows = faces(tmp_path / "in", 2)
    (tmp_path / "in" / "0.png").rename(tmp_path / "in" / "0.jpg")  # a name that lies
    rows[0] = LabelledFace(tmp_path / "in" / "0.jpg", {"12": 1.0})
    Preparation(FixedSource(rows, ()), tmp_path / "kept").run()
    Preparation(FixedSource(rows, ()), tmp_path / "small", size=16).run()
    kept, small = (
        [p for s in find_shards(tmp_path / name) for p in read_shard(s)]
        for name in ("kept", "small")
    )
    assert [p["png"] for p in kept] == [r.file.read_bytes() for r in rows]
    assert [decode_picture(p["jpg"]).shape for p in small] == [(16, 16, 3)] * 2


def test_another_preparation_is_refused(tmp_path: Path) -> None:
    Preparation(source(tmp_path / "in"), tmp_path / "out").run()
    with pytest.raises(ValueError, match="prepared in another way: size was None, now 16"):
        Preparation(source(tmp_path / "in"), tmp_path / "out", size=16).run()


def test_a_correction_sees_all_that_stay_before_it_changes_any(tmp_path: Path) -> None:
    def fit(labels):
        most = max(label["12"] for label in labels)
        return lambda aus: {"12": 5 * aus["12"] / most}

    rows = faces(tmp_path / "in", 9)
    rows[8].file.unlink()  # AU12 of 2 does not count
    Preparation(FixedSource(rows, PICTURE_STEPS), tmp_path / "out", fit=fit, part=2).run()
    found = [label["units"]["12"] for label in prepared(tmp_path / "out").values()]
    np.testing.assert_allclose(found, [5 * n / 7 for n in range(8)], atol=1e-4)


def test_sampled_keeps_the_same_share_of_neutral_faces() -> None:
    rows = [LabelledFace(Path(f"a/b/{n}.png"), {"12": float(n % 2)}) for n in range(4000)]
    kept = sampled(0.1).keeps(rows)
    assert all(kept[1::2]) and 150 < sum(kept[::2]) < 250
    assert sampled(0.1).keeps(rows[::-1]) == kept[::-1]
    assert sampled(0.1, seed=1).keeps(rows) != kept


def test_tables_of_every_kind_give_the_same_faces(tmp_path: Path) -> None:
    for n, name in enumerate(("a", "b")):
        write_picture(tmp_path / "in" / f"{name}.png", n)
        write_table(tmp_path / f"{name}.csv", [{"frame": 1, " success": 1, " AU12_r": n + 1}])
    rows = [{"file": f"{x}.png", "AU12": n + 1, "caption": x} for n, x in enumerate("ab")]
    csv_table = write_table(tmp_path / "table.csv", rows)
    lines = [{**r, "aus": {"12": r["AU12"]}, "subject": "S"} for r in rows]
    (tmp_path / "t.jsonl").write_text("\n".join(json.dumps(line) for line in lines) + "\n\n")
    found = [
        [(f.file.name, f.aus) for f in LabelledFolder(tmp_path / "in", table, form).faces()]
        for table, form in (
            (csv_table, "plain"), (tmp_path / "t.jsonl", "plain"), (tmp_path, "openface"),
        )
    ]  # fmt: skip
    assert found[0] == [("a.png", {"12": 1.0}), ("b.png", {"12": 2.0})]
    assert found[1] == found[2] == found[0]
    (first, _) = LabelledFolder(tmp_path / "in", tmp_path / "t.jsonl").faces()
    assert first.caption == "a" and first.about == {"AU12": 1, "subject": "S"}


def test_a_picture_of_several_faces_is_left_out(tmp_path: Path) -> None:
    for name in "ab":
        write_picture(tmp_path / "in" / f"{name}.png")
    rows = [{"input": f"{x}.png", "AU12": n / 4} for n, x in enumerate("aba")]
    table = write_table(tmp_path / "t.csv", rows)
    card = prepare("folder", tmp_path / "in", table, tmp_path / "out", form="py-feat")
    assert card["faces"] == 1 and card["units"]["12"]["mean"] == 1.25
    assert card["steps"][0] == {"step": "several rows for one picture", "in": 3, "dropped": 2}
    write_table(tmp_path / "a.csv", [{" face": n, " AU12_r": n} for n in (0, 1)])
    write_table(tmp_path / "b.csv", [{" face": 0, " AU12_r": 2}])
    card = prepare("folder", tmp_path / "in", tmp_path, tmp_path / "each", form="openface")
    assert card["faces"] == 1 and card["steps"][0]["dropped"] == 1


def test_frames_number_the_pictures_of_a_folder(tmp_path: Path) -> None:
    for n in range(3):
        write_picture(tmp_path / "in" / f"{n}.png", n)
    table = write_table(
        tmp_path / "t.csv", [{"frame": n, "success": 1, "AU01_r": n} for n in (1, 3)]
    )
    found = LabelledFolder(tmp_path / "in", table, "openface").faces()
    assert [(f.file.name, f.aus) for f in found] == [("0.png", {"1": 1.0}), ("2.png", {"1": 3.0})]
    write_table(table, [{"frame": 4, "success": 1, "AU01_r": 0}])
    with pytest.raises(ValueError, match="has frame 4, but .* holds 3 pictures"):
        LabelledFolder(tmp_path / "in", table, "openface")


def test_a_table_of_another_encoding_is_named_with_its_line(tmp_path: Path) -> None:
    tables = {
        "caption.csv": ("file,caption,AU12\na.png,a man,1\na.png,caf\xe9,2\n", "3"),
        "header.csv": ("file,caf\xe9,AU12\n", "1"),
        "lines.jsonl": ('{"file": "caf\xe9.png", "aus": {"12": 1}}', "1"),
    }
    for name, (text, line) in tables.items():
        (tmp_path / name).write_text(text, encoding="windows-1252")
        said = rf"line {line} of .*{name} is not in UTF-8: b'.*xe9.*Save the table as UTF-8"
        with pytest.raises(ValueError, match=said):
            LabelledFolder(tmp_path, tmp_path / name)
    (tmp_path / "caption.csv").write_text(tables["caption.csv"][0], encoding="utf-8-sig")
    rows = LabelledFolder(tmp_path, tmp_path / "caption.csv").faces()
    assert [face.caption for face in rows] == ["a man", "caf\xe9"]


def test_a_notation_that_cannot_be_read_is_named_with_its_line(tmp_path: Path) -> None:
    rows = [{"file": "a.png", "notation": text} for text in ("6C+12D", "", "12F")]
    table = write_table(tmp_path / "labels.csv", rows)
    with pytest.raises(ValueError, match="line 4 of .*labels.csv, column notation: '12F'"):
        prepare("folder", tmp_path, table, tmp_path / "out")


def test_openfaces_tables_of_each_picture_need_their_format(tmp_path: Path) -> None:
    write_picture(tmp_path / "in" / "a.png")
    write_table(tmp_path / "a.csv", [{"frame": 1, " success": 1, " AU12_r": 2, " AU12_c": 1}])
    with pytest.raises(
        ValueError, match="table of a.png is a table of OpenFace.*not for the right"
    ):
        prepare("folder", tmp_path / "in", tmp_path, tmp_path / "out")
    card = prepare("folder", tmp_path / "in", tmp_path, tmp_path / "out", form="openface")
    assert card["units"]["12"]["mean"] == 2.0 and card["uneven"] == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"file": "a.png"}\n', "line 1 of .* is not an object with"),
        ('{"file": 0, "aus": {}}\n', "line 1 of .*file and caption are text"),
        ('{"file": "a.png", "aus": {}, "caption": 7}\n', "line 1 of .*file and caption are text"),
        ('{"file": "a.png", "aus": {"99": 1}}\n', "There is no Action Unit 99"),
        ('\n{"file": \n', "line 2 of .*JSONDecodeError"),
    ],
)
def test_json_lines_that_do_not_fit(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "t.jsonl").write_text(text)
    with pytest.raises(ValueError, match=message):
        LabelledFolder(tmp_path, tmp_path / "t.jsonl")


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["prepare", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.output


def test_the_command_line(tmp_path: Path) -> None:
    write_picture(tmp_path / "in" / "a.png")
    rows = [{"file": "a.png", "AU12": 2}, {"file": "b.png", "AU12": 2}]
    table, output = write_table(tmp_path / "t.csv", rows), tmp_path / "out"
    code, text = run("folder", tmp_path / "in", table, "--output", output)
    assert code == 0 and "1 of 2 left out: no such file" in text
    assert f"1 faces are in {output}, 1 shards" in text


def test_the_command_line_says_what_is_wrong(tmp_path: Path) -> None:
    write_picture(tmp_path / "in" / "a.png")
    table = write_table(tmp_path / "t.csv", [{"file": "a.png", "smile": 2}])
    where = (tmp_path / "in", table, "--output", tmp_path / "out")
    assert "no AU column" in run("folder", *where)[1]
    assert "fold means nothing for folder" in run("folder", *where, "--fold", 1)[1]
    assert "`au-adapter download blip2" in run("folder", *where, "--blip2", tmp_path)[1]
    assert "there is no folder of pictures" in run("folder", tmp_path / "x", *where[1:])[1]
    wrong = write_table(table, [{"file": "in/a.png", "AU12": 2}])
    code, text = run("folder", *where)
    assert code == 1 and "None of 1 faces is left: 1 no such file" in text
    write_table(wrong, [{"file": "a.png", "AU12": 2}])
    assert run("folder", *where)[0] == 0  # nothing of the failure stays in the way
