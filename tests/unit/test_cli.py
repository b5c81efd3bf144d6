"""The command line: what a person types, and the sentence that comes back."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from au_adapter import __version__
from au_adapter.cli import main

VERBS = ("convert", "demo", "download", "render", "train")


def run(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


def test_module_and_command_are_one() -> None:
    command = [sys.executable, "-m", "au_adapter", "--version"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert __version__ in answer.stdout


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb: str) -> None:
    assert verb in run("--help").output
    answer = run(verb, "--help")
    assert answer.exit_code == 0
    assert "Usage:" in answer.output


def test_download_without_name_lists_source_licence_and_size() -> None:
    output = run("download").output
    assert "ict-facekit" in output
    assert "licence MIT, 405 MB" in output
    assert "github.com/ICT-VGL/ICT-FaceKit" in output


def test_download_lists_hashes_without_fetching() -> None:
    lines = run("download", "ict-facekit", "--files").output.splitlines()
    assert sum(len(line.split()[0]) == 64 for line in lines) == 159


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("download", "nope"), "known are ict-facekit"),
        (("convert", ".", "out.npz"), "expected the FaceXModel folder"),
        (("render", "nope.npz", "--output", "out"), "au-adapter download ict-facekit"),
        (("train", "--recipe", "x", "--data", ".", "--output", "out"), "choose one of"),
        (
            ("train", "--recipe", "x", "--data", ".", "--output", "out", "--set", "foo"),
            "expected NAME=VALUE",
        ),
    ],
)
def test_wrong_input_ends_in_one_sentence(words: tuple[str, ...], sentence: str) -> None:
    answer = run(*words)
    assert answer.exit_code == 1
    assert answer.output.startswith("Error: ")
    assert sentence in answer.output
    assert "Traceback" not in answer.output


def test_convert_packs_the_published_meshes(tmp_path: Path) -> None:
    mesh = (
        "v {} 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\nf 1/1 2/2 3/3 4/4\n"
    )
    for name, x in (("generic_neutral_mesh", 0), ("identity000", 2), ("jawOpen", -1)):
        (tmp_path / f"{name}.obj").write_text(mesh.format(x))
    answer = run("convert", str(tmp_path), str(tmp_path / "out.npz"))
    assert answer.exit_code == 0, answer.output
    with np.load(tmp_path / "out.npz") as file:
        moved = file["expression"][0] * file["expression_scale"][0]
        assert file["triangles"].shape == (2, 3)
    np.testing.assert_allclose(moved[0], [-1, 0, 0], atol=1e-4)
    np.testing.assert_allclose(moved[1:], 0)
