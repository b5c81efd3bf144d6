"""When Train AU-Adapter writes a file: whenever the run keeps an adapter that lies in none yet."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from au_adapter_pack.nodes.compat import folder_paths
from au_adapter_pack.nodes.train_adapter import _forget, _output
from au_adapter_pack.nodes.train_files import numbered
from au_adapter_pack.nodes.train_request import Request
from test_training_request import WIDGETS
from tiny_unet import SD21, tiny_adapter, tiny_unet

from au_adapter import load_adapter
from au_adapter.weights.adapter_files import save_adapter


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The model folder; ComfyUI's output lies beside it."""
    monkeypatch.setattr(folder_paths, "output_directory", str(tmp_path / "output"))
    models = tmp_path / "models"
    known = ([str(models)], {".safetensors"})
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "au_adapter", known)
    return models


@pytest.fixture
def run(models: Path) -> Request:
    """A run that is done: its process ended when nobody followed it any more."""
    request = Request(**WIDGETS | {"name": "people/anna"})
    keep(request, "result", step=2, rank=4)
    return request


def keep(request: Request, name: str, step: int, rank: int) -> None:
    """What a training leaves in its folder; of another rank are other weights."""
    folder = request.folder / name
    folder.mkdir(parents=True, exist_ok=True)
    adapter = tiny_adapter(tiny_unet(SD21), rank=rank)
    adapter.provenance = {"step": step}
    save_adapter(adapter, folder / "adapter.safetensors")
    (folder / "training.json").write_text(json.dumps({"step": step}))


def told(request: Request, trained: int = 0) -> str:
    return _output(request, trained).args[2]


def files(models: Path) -> list[str]:
    return sorted(path.name for path in models.rglob("*") if path.is_file())


def test_what_was_finished_alone_is_saved_by_the_next_run(run: Request, models: Path) -> None:
    """Interrupted in the last check, a run saves on its own; the next one hears no step."""
    assert "Saved as people/anna_00001.safetensors in models/au_adapter" in told(run)
    said = told(run)
    assert "Nothing left to train up to step 2, and no new file: it is people/anna_00001" in said
    assert files(models) == ["anna_00001.safetensors"]
    assert load_adapter(models / "people" / "anna_00001.safetensors").provenance["step"] == 2


def test_a_file_that_is_gone_is_written_again(run: Request, models: Path) -> None:
    told(run)
    (models / "people" / "anna_00001.safetensors").unlink()
    assert "Saved as people/anna_00001" in told(run)


def test_other_weights_are_another_file_and_the_same_are_none(run: Request, models: Path) -> None:
    told(run)
    keep(run, "result", step=4, rank=2)
    assert "Saved as people/anna_00002" in told(run, trained=2)
    assert "None of 2 more steps made an adapter that answers better" in told(run, trained=2)
    assert files(models) == ["anna_00001.safetensors", "anna_00002.safetensors"]


def test_a_full_disk_of_the_models_costs_no_adapter(run: Request, models: Path) -> None:
    """The file is written to /dev/full, which has room for nothing, and once more with room."""
    path = numbered(run.name)
    path.parent.mkdir(parents=True)
    path.with_name(f".{path.name}.{os.getpid()}.partial").symlink_to("/dev/full")
    with pytest.raises(OSError, match="^the disk of .* is full.*make room"):
        told(run, trained=2)
    assert files(models) == []
    assert "Saved as people/anna_00001" in told(run)


def test_to_begin_again_forgets_what_was_saved(run: Request, models: Path) -> None:
    told(run)
    _forget(run.folder)
    keep(run, "result", step=2, rank=4)
    assert "Saved as people/anna_00002" in told(run)
