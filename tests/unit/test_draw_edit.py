"""`au-adapter draw` and `edit`: labelled files, what they say of themselves, runs that go on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from face_pictures import SEGMENTER, TASK, picture
from PIL import Image
from test_evaluation_methods import EDITS, READER, SMALL
from tiny_demo import write_demo

from au_adapter.bundled import FOLDER_VARIABLE
from au_adapter.cli import main
from au_adapter.evaluation.picture_batch import KEY


@pytest.fixture(scope="module", autouse=True)
def models(tmp_path_factory: pytest.TempPathFactory):
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv(FOLDER_VARIABLE, str(write_demo(tmp_path_factory.mktemp("demo"))))
        environment.setenv("AU_ADAPTER_FACE_LANDMARKER", str(TASK))
        environment.setenv("AU_ADAPTER_PERSON_SEGMENTER", str(SEGMENTER))
        yield


def run(*words: object) -> Result:
    more = ["--steps", "2", "--estimator", READER]
    return CliRunner().invoke(main, [*map(str, words), *more])


def rows(folder: Path) -> list[dict]:
    return json.loads((folder / "pictures.json").read_text())["rows"]


def stamps(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("*.png")}


def test_prompts_aus_and_seeds(tmp_path: Path) -> None:
    words = ("draw", "A man", "a woman", "--aus", "12D+6B", "--aus", "", "--seed", 3, "--seed", 4)
    result = run(*words, "--output", tmp_path)
    assert result.exit_code == 0, result.output
    assert "8 of 8 pictures" in result.output and "read by the brightness" in result.output
    found = rows(tmp_path)
    assert [row["file"] for row in found[:3]] == [
        "a-man_s3_AU06B+12D.png", "a-man_s3_AU00.png", "a-man_s4_AU06B+12D.png",
    ]  # fmt: skip
    assert found[0]["requested"] == {"12": 4.0, "6": 2.0} and found[0]["prompt"] == "A man"
    assert 0 < found[0]["measured"]["12"] < 5 and found[0]["faces"] == 1
    told = json.loads(Image.open(tmp_path / found[0]["file"]).info[KEY])
    assert told["aus"] == {"12": 4.0, "6": 2.0} and told["seed"] == 3
    assert len(told["settings"]["adapter"]) == 16 and told["settings"]["strength"] == 1.0


def test_a_run_goes_on_and_draws_what_has_changed(tmp_path: Path) -> None:
    words = ("draw", "a man", "--output", tmp_path, "--aus", "6B", "--aus", "12C")
    assert run(*words).exit_code == 0
    first, pictures = stamps(tmp_path), {p.name: p.read_bytes() for p in tmp_path.glob("*.png")}
    gone = tmp_path / "a-man_s0_AU12C.png"
    gone.unlink()
    assert run(*words).exit_code == 0
    again = stamps(tmp_path)
    assert gone.read_bytes() == pictures[gone.name]
    assert [name for name in first if again[name] != first[name]] == [gone.name]
    assert run(*words, "--strength", "0.5").exit_code == 0
    assert all(stamps(tmp_path)[name] != again[name] for name in again)
    assert {row["settings"]["strength"] for row in rows(tmp_path)} == {0.5}
    assert run("draw", "a woman", "--aus", "4A", "--output", tmp_path).exit_code == 0
    assert len(rows(tmp_path)) == 3  # the earlier ones are still listed


def test_a_damaged_file_is_drawn_again(tmp_path: Path) -> None:
    words = ("draw", "a man", "--output", tmp_path, "--aus", "6B")
    assert run(*words).exit_code == 0
    (file,) = tmp_path.glob("*.png")
    whole = file.read_bytes()
    file.write_bytes(whole[:2000])
    assert run(*words).exit_code == 0 and file.read_bytes() == whole
    assert not [path for path in tmp_path.iterdir() if "partial" in path.name]


def test_a_table_of_requests(tmp_path: Path) -> None:
    table = tmp_path / "asked.csv"
    table.write_text("prompt,aus,seed\na man,12C,5\na woman,AU4:2.5,6\n")
    assert run("draw", "--requests", table, "--output", tmp_path / "out").exit_code == 0
    found = [(r["prompt"], r["seed"], r["requested"]) for r in rows(tmp_path / "out")]
    assert found == [("a man", 5, {"12": 3.0}), ("a woman", 6, {"4": 2.5})]
    table.write_text("prompt,aus,seed\na man,12Z,5\n")
    wrong = run("draw", "--requests", table, "--output", tmp_path / "out")
    assert wrong.exit_code == 1 and f"line 2 of {table}" in wrong.output


def test_what_cannot_be_asked_for_is_a_sentence(tmp_path: Path) -> None:
    cases = {
        "Give --aus, such as": (),
        "AU10": ("--aus", "10C"),
        "both sides alike and was asked for": ("--aus", "L12C"),
        "takes no mask_rule": ("--aus", "12C", "--set", "mask_rule=x"),
        "no generator 'magicface'": ("--aus", "12C", "--method", "magicface"),
    }
    for sentence, words in cases.items():
        result = run("draw", "a man", *words, "--output", tmp_path)
        assert result.exit_code == 1 and sentence in result.output, result.output
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("method", ["magicface", "au-adapter-sdedit"])
def test_one_bad_photo_does_not_stop_the_others(tmp_path: Path, method: str) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "a.png").write_text("no picture")
    face = Image.fromarray((picture("astronaut.png")[0] * 255).byte().numpy())
    face.resize((128, 128)).save(photos / "b.png")
    words = ("edit", photos, "--aus", "6B+12D", "--method", method, "--output", tmp_path / "out")
    result = run(*words)
    assert result.exit_code == 1 and "1 of 2 pictures" in result.output, result.output
    bad, good = rows(tmp_path / "out")
    assert "a.png" in bad["error"] and "measured" not in bad
    assert good["scale"] == ("change" if method == "magicface" else "absolute")
    assert good["before"]["12"] != good["measured"]["12"] and good["source"].endswith("b.png")
    with Image.open(tmp_path / "out" / good["file"]) as edited:
        assert edited.size == (128, 128) and edited.info[KEY]
    before = stamps(tmp_path / "out")
    (photos / "a.png").unlink()
    assert run(*words).exit_code == 0 and stamps(tmp_path / "out") == before
    face.rotate(2).resize((128, 128)).save(photos / "b.png")
    assert run(*words).exit_code == 0 and stamps(tmp_path / "out") != before


def test_evaluate_runs_the_method_that_it_is_told(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    face = Image.fromarray((picture("astronaut.png")[0] * 255).byte().numpy())
    face.save(photos / "a.png")
    face.rotate(3).save(photos / "b.png")
    protocol = tmp_path / "edits.json"
    protocol.write_text(json.dumps(EDITS))
    words = ("evaluate", protocol, "--photos", photos, "--method", "magicface")
    result = run(*words, "--output", tmp_path / "run")
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert report["method"] == "MagicFace" and report["settings"]["guidance"] == 3.0
    assert report["counts"]["made"] == 2
    protocol.write_text(json.dumps(SMALL))
    result = run("evaluate", protocol, "--method", "words", "--output", tmp_path / "words")
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "words" / "report.json").read_text())
    assert report["method"] == "AUs as words" and report["counts"]["made"] == 6
