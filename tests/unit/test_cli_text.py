"""`au-adapter text`, both ways."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from au_adapter import AUVector
from au_adapter.cli import main


def text(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["text", *map(str, arguments)])


def test_notation_becomes_english_and_english_notation() -> None:
    result = text("6B+12C", "--seed", 3)
    assert result.exit_code == 0
    written = result.stdout.strip()
    assert AUVector.from_text(written).dict() == {"6": 2.0, "12": 3.0}
    assert text(written).stdout.splitlines()[0] == "6B+12C"
    assert text("raised brows").stdout.splitlines()[0] == "1C+2C"


def test_words_need_no_quotes_and_a_relaxed_face_is_0() -> None:
    assert text("no", "smile").stdout.splitlines()[0] == "0"
    assert text("0").stdout == "The face is relaxed.\n"


def test_options() -> None:
    arguments = ("10C+14C+15C", "--policy", "strict", "--wording", "short")
    short = text(*arguments, "--no-intensity-words").stdout
    assert short == (
        "upper lip raised over lip corners turned down, dimpled lip corners tucked in\n"
    )
    limited = text(*arguments, "--token-limit", 5)
    assert len(limited.stdout.split()) < len(short.split())


def test_expressions_of_your_own(tmp_path: Path) -> None:
    file = tmp_path / "own.json"
    file.write_text(json.dumps({"expressions": {"zzz": {"aus": "1B"}}}), "utf-8")
    assert text("zzz", "--presets", file).stdout.splitlines()[0] == "1B"
    missing = text("zzz", "--presets", tmp_path / "none.json")
    assert missing.exit_code == 1 and "none.json" in missing.output


@pytest.mark.parametrize(
    ("words", "reason"),
    [("smlie, lips parted", "'smlie' is not known"), ("12F", "'12F'"), ("frown", "brows or the")],
)
def test_what_cannot_be_read_ends_in_a_sentence(words: str, reason: str) -> None:
    result = text(words)
    assert result.exit_code == 1 and isinstance(result.exception, SystemExit)
    assert reason in result.output
