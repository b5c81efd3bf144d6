"""The names of where a run and its adapters lie, and what a new one deletes."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from au_adapter_pack.nodes import train_request
from au_adapter_pack.nodes.compat import folder_paths
from au_adapter_pack.nodes.train_adapter import TrainAUAdapter, _explained, _forget
from au_adapter_pack.nodes.train_files import numbered
from au_adapter_pack.nodes.train_request import Request
from filelock import FileLock
from safetensors.torch import save_file

from au_adapter.data.rendered import SAMPLE, find_renders
from au_adapter.faces.locate import FACE_LANDMARKER, MODEL_FOLDER
from au_adapter.models.encoders import TOKEN_ENCODERS
from au_adapter.training.follow import LOCK, LOG, ROOT, TrainingError

WIDGETS = {
    "base": "AU-Adapter demo model", "data": "rendered sample", "batch_size": 2,
    "grad_accumulation_steps": 1, "steps": 2, "learning_rate": 1e-3, "rank": 4, "seed": 0,
    "training_dtype": "fp32", "gradient_checkpointing": False, "units": "12 (set A)",
    "validate_every": 0, "existing_run": "go on",
}  # fmt: skip


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """ComfyUI's output folder, and models/au_adapter in it."""
    monkeypatch.setattr(folder_paths, "output_directory", str(tmp_path))
    models = ([str(tmp_path / "models")], {".safetensors"})
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "au_adapter", models)
    return tmp_path


def request(name: str, **widgets: Any) -> Request:
    return Request(**WIDGETS | {"name": name} | widgets)


OUTSIDE = ["", " ", ".", "..", "a/..", "../a", "/tmp/a", "a/../../b"]
UNFIT = [".lock", "x/.lock", "a\0b", "a\ud800", "a\nb", "n" * 300, "x/" + "n" * 300]


@pytest.mark.parametrize("name", [*OUTSIDE, *UNFIT])
def test_a_name_outside_the_folder_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is not a name inside models/au_adapter"):
        request(name)


@pytest.mark.parametrize("name", ["anna/result", "people/anna/best.previous", "anna/./cache/b"])
def test_a_name_where_another_run_keeps_its_files_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is where another run keeps its own files; choose"):
        request(name)
    assert request("result").folder.name == "result"


@pytest.mark.parametrize("name", ["anna", "people/anna", "people/anna/", "./anna"])
def test_the_next_number_never_replaces_a_file(folders: Path, name: str) -> None:
    first = numbered(name)
    first.parent.mkdir(parents=True)
    assert first.name == "anna_00001.safetensors" and folders / "models" in first.parents
    first.touch()
    assert numbered(name) == first.with_name("anna_00002.safetensors")


@pytest.mark.parametrize(
    ("units", "count", "sides"),
    [("12 (set A)", 12, False), ("17, left and right apart", 17, True)],
)
def test_sides_are_asked_for_by_the_units(units: str, count: int, sides: bool) -> None:
    arguments = request("anna", units=units).arguments()
    chosen = next(word for word in arguments if word.startswith("units="))
    assert chosen.count(",") == count - 1 and ("sides=true" in arguments) == sides


def test_any_encoder_of_the_paper_can_be_chosen(folders: Path) -> None:
    """FineFace's own is the recipe's choice: another on Stable Diffusion 1.5 than elsewhere."""
    (widget,) = [i for i in TrainAUAdapter.define_schema().inputs if i.id == "encoder"]
    assert widget.options == [widget.default, *TOKEN_ENCODERS]
    for own in ({}, {"encoder": widget.default}):
        assert not any("encoder=" in word for word in request("anna", **own).arguments())
    assert "encoder=individual" in request("anna", encoder="individual").arguments()


def test_the_help_page_says_how_the_learning_rate_goes(folders: Path) -> None:
    """A twentieth of the steps up, 200 at most, and a quarter of them down, on every base."""
    page = (ROOT / "web" / "docs" / "AUA_TrainAUAdapter.md").read_text(encoding="utf-8")
    words = " ".join(page.split())
    assert "rises over the first twentieth of *steps*, over 200 at most, and falls" in words
    assert "to a tenth over the last quarter" in words
    for steps, up, down in ((1000, 50, 250), (20000, 200, 5000)):
        arguments = request("anna", steps=steps).arguments()
        assert f"warmup_steps={up}" in arguments and f"decay_steps={down}" in arguments


def test_seventeen_aus_are_read_by_the_landmarker_where_its_file_is(
    folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which is looked for in models/face_analysis; the bundled model's own regressor knows 12."""
    monkeypatch.setenv("AU_ADAPTER_CACHE", str(folders))
    known = ([str(folders)], {".task"})
    monkeypatch.setitem(folder_paths.folder_names_and_paths, MODEL_FOLDER, known)
    wide = request("anna", units="17 (sets A and B)", validate_every=2)
    assert "--estimator" not in wide.arguments()
    (folders / FACE_LANDMARKER.names[0]).touch()
    arguments, variables = wide.arguments(), wide.environment()
    assert arguments[arguments.index("--estimator") + 1] == "mesh"
    assert variables[FACE_LANDMARKER.variable] == str(folders / FACE_LANDMARKER.names[0])
    for other in ({"validate_every": 2}, {"units": "17 (sets A and B)"}):
        assert "--estimator" not in request("anna", **other).arguments()
    monkeypatch.setenv(FACE_LANDMARKER.variable, str(folders / "gone.task"))
    with pytest.raises(FileNotFoundError, match=r"^to check .*gone\.task"):
        wide.arguments()


def test_the_sample_is_the_sample_where_other_renders_were_drawn(
    folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AU_ADAPTER_CACHE", str(folders))
    shutil.copytree(SAMPLE, folders / "rendered")
    arguments = request("anna").arguments()
    assert arguments[arguments.index("--data") + 1] == str(SAMPLE) and find_renders() != SAMPLE
    monkeypatch.setattr(train_request, "SAMPLE", folders / "nowhere")
    with pytest.raises(FileNotFoundError, match="^there is no shard.*nowhere"):
        request("anna").arguments()


def write_run(folder: Path) -> Path:
    (folder / "result").mkdir(parents=True)
    for name in (LOG, LOCK, "state.pt", "result/adapter.safetensors"):
        (folder / name).write_text("something")
    return folder


def test_to_begin_again_deletes_the_state_of_that_run_alone(folders: Path) -> None:
    people = write_run(request("people").folder)
    anna = write_run(request("people/anna").folder)
    (people / "elsewhere").symlink_to(folders / "models", target_is_directory=True)
    (folders / "models").mkdir()
    _forget(people)
    assert {path.name for path in people.iterdir()} == {LOG, LOCK, "anna"}
    assert (anna / "state.pt").exists() and (anna / "result" / "adapter.safetensors").exists()
    assert (folders / "models").is_dir()
    FileLock(people / LOCK).acquire(timeout=0).lock.release()  # and the run may be claimed
    _forget(folders / "never")


def test_another_file_than_stable_diffusion_is_named_with_the_node(
    folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_file({"weight": torch.zeros(1)}, folders / "vae.safetensors")
    checkpoints = ([str(folders)], {".safetensors"})
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "checkpoints", checkpoints)
    with pytest.raises(ValueError, match=r"^.*vae\.safetensors is no base that is known here"):
        request("anna", base="vae.safetensors").arguments()


@pytest.mark.parametrize("kind", ["MemoryError", "CheckMemoryError", "killed"])
def test_what_to_lower_depends_on_whether_faces_were_drawn(folders: Path, kind: str) -> None:
    with pytest.raises(RuntimeError) as step, _explained():
        raise TrainingError("no memory", kind)
    assert "the memory is used up. Lower batch_size" in str(step.value)
    with pytest.raises(RuntimeError) as check, _explained():
        raise TrainingError("no memory", kind, checking=True)
    said = str(check.value)
    assert said.startswith("the memory is used up in a check. Set validate_every")
    assert "batch_size" not in said and "the same name goes on from there" in said
