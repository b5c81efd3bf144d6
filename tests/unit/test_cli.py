"""The command line: verbs, results, and one sentence for what a person can mend."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from test_ict import repository  # noqa: F401 - a fixture

import au_adapter
from au_adapter.cli import _setting, main


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def sentence(result: Result) -> str:
    """The error of a run that ended without a traceback."""
    assert result.exit_code == 1 and isinstance(result.exception, SystemExit)
    return result.output


def test_help_lists_the_verbs_without_loading_torch() -> None:
    code = "import sys, au_adapter.cli as c\ntry: c.main(['--help'])\nfinally: print(*sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    verbs = {line.split()[0] for line in answer.stdout.splitlines() if line.startswith("  ")}
    assert {"demo", "train", "render", "convert", "download"} <= verbs
    assert "torch" not in answer.stdout.split()


def test_the_package_runs_as_a_module() -> None:
    command = [sys.executable, "-m", "au_adapter", "--version"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert answer.stdout.split()[-1] == au_adapter.__version__


def test_download_lists_what_there_is() -> None:
    result = run("download")
    assert result.exit_code == 0
    for fact in ("ict-facekit", "MIT", "405 MB", "https://", "SHA-256"):
        assert fact in result.output


def test_download_of_something_unknown() -> None:
    assert "no download 'faces'; known are ict-facekit" in sentence(run("download", "faces"))


@pytest.mark.usefixtures("repository")
def test_convert_packs_the_face_model(tmp_path: Path) -> None:
    result = run("convert", tmp_path / "ICT-FaceKit", tmp_path / "model.npz")
    assert result.exit_code == 0 and (tmp_path / "model.npz").is_file()


def test_download_lists_hashes_without_fetching() -> None:
    lines = run("download", "ict-facekit", "--files").output.splitlines()
    assert sum(len(line.split()[0]) == 64 for line in lines) == 159


@pytest.mark.parametrize("verb", ["convert", "demo", "download", "prepare", "render", "train"])
def test_every_verb_explains_itself(verb: str) -> None:
    result = run(verb, "-h")
    assert result.exit_code == 0 and "Usage:" in result.output


@pytest.mark.parametrize(
    ("text", "value"),
    [("batch_size=8", 8), ("rate=1e-4", 1e-4), ("plain_loss=true", True), ("base=a=b", "a=b")],
)
def test_settings_are_json_or_text(text: str, value: object) -> None:
    assert _setting(text) == (text.split("=")[0], value)


def test_convert_of_something_else(tmp_path: Path) -> None:
    assert "FaceXModel" in sentence(run("convert", tmp_path, tmp_path / "model.npz"))


def test_render_without_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AU_ADAPTER_CACHE", str(tmp_path))
    output = sentence(run("render", "--output", tmp_path / "faces"))
    assert "run `au-adapter download ict-facekit`" in output


def test_train_by_an_unknown_recipe(tmp_path: Path) -> None:
    arguments = ("--data", tmp_path, "--output", tmp_path / "out")
    assert "fineface" in sentence(run("train", "--recipe", "magic", *arguments))
    assert "NAME=VALUE" in sentence(run("train", "--recipe", "fineface", "--set", "x", *arguments))


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [name for name in sys.modules if name.startswith("au_adapter.training")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "accelerate", None)
    arguments = ("--recipe", "fineface", "--data", tmp_path, "--output", tmp_path / "out")
    assert 'pip install "au-adapter[train]"' in sentence(run("train", *arguments))
