"""The command line: verbs, results, and one sentence for what a person can mend."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from published import SD15, SD21, write_published
from test_ict import repository  # noqa: F401 - a fixture

import au_adapter
from au_adapter.cli import main
from au_adapter.cli.method_options import setting
from au_adapter.data.au_columns import TABLE_FORMATS
from au_adapter.data.prepare_shards import FORMS, VARIANTS
from au_adapter.weights.adapter_files import adapter_hash, read_metadata

VERBS = (
    *("calibrate", "convert", "demo", "download", "draw", "edit", "estimate", "evaluate"),
    *("prepare", "render", "train"),
)


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
    assert {*VERBS} <= verbs
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


def test_convert_joins_published_weights(tmp_path: Path) -> None:
    path, one = write_published(tmp_path / "published", SD21), tmp_path / "one.safetensors"
    assert run("convert", path.parent, one).exit_code == 0
    assert adapter_hash(one) == adapter_hash(path)
    names = {name for name in read_metadata(one) if name.startswith("source/")}
    assert names == {f"source/{file.name}" for file in path.parent.iterdir()}
    again = run("convert", one, tmp_path / "again.safetensors")
    assert again.exit_code == 0 and adapter_hash(tmp_path / "again.safetensors") == adapter_hash(
        one
    )


def test_convert_of_damaged_weights_writes_nothing(tmp_path: Path) -> None:
    path = write_published(tmp_path, SD15)
    path.write_bytes(path.read_bytes()[:1000])
    assert "truncated" in sentence(run("convert", path, tmp_path / "out" / "one.safetensors"))
    assert not (tmp_path / "out").exists()


def test_convert_to_an_unknown_ending(tmp_path: Path) -> None:
    output = sentence(run("convert", tmp_path, tmp_path / "model.bin"))
    assert ".safetensors (an AU-Adapter" in output and ".npz (a face model" in output


def test_download_says_what_to_copy_where_by_hand(tmp_path: Path) -> None:
    result = run("download", "fineface-sd21", "--manual", "--output", tmp_path)
    address = "https://huggingface.co/Tvaranka/fineface/resolve/main/attn_processors.ckpt"
    assert result.exit_code == 0 and list(tmp_path.iterdir()) == []
    assert f"{address}\n    -> {tmp_path / 'attn_processors.ckpt'}" in result.output


def test_by_hand_a_pattern_names_the_page(tmp_path: Path) -> None:
    output = run("download", "blip2", "--manual", "--output", tmp_path).output
    page = "https://huggingface.co/Salesforce/blip2-opt-2.7b/tree/main"
    assert f"  every model*.safetensors of {page}\n    -> {tmp_path}" in output


def test_download_does_not_invent_a_hash() -> None:
    result = run("download", "fineface-sd15", "--files")
    assert "about 77 MB in 2 files (their SHA-256: as Hugging Face names it)" in result.output
    assert result.output.count("asked of Hugging Face before the file is fetched") == 2


def test_download_lists_hashes_without_fetching() -> None:
    lines = run("download", "ict-facekit", "--files").output.splitlines()
    assert sum(len(line.split()[0]) == 64 for line in lines) == 159


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb: str) -> None:
    result = run(verb, "-h")
    assert result.exit_code == 0 and "Usage:" in result.output


def test_prepare_says_what_it_does_without_being_told() -> None:
    text = " ".join(CliRunner().invoke(main, ["prepare", "--help"]).output.split())
    assert all(f"Default for {kind}: {variant}" in text for kind, variant in VARIANTS.items())
    assert "plain, the default of folder; fineface, that of affectnet" in text
    assert FORMS == {"folder": "plain", "affectnet": "fineface"}
    assert all(form in text for form in TABLE_FORMATS)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("batch_size=8", 8), ("rate=1e-4", 1e-4), ("rate=.001", 0.001)),
        *(("plain_loss=true", True), ("plain_loss=False", False), ("units=6,12", (6, 12))),
        *(("base=a=b", "a=b"), ("base=runs/a-1", "runs/a-1"), ("mixed_precision=no", "no")),
    ],
)
def test_settings_are_json_or_pythons_or_text(text: str, value: object) -> None:
    assert setting(text) == (text.split("=")[0], value)


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
