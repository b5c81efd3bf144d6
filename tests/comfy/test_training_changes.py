"""When an output of Train AU-Adapter that ComfyUI kept is still true."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from au_adapter_pack.nodes.compat import folder_paths
from au_adapter_pack.nodes.train_adapter import TrainAUAdapter
from au_adapter_pack.nodes.train_files import files_state
from labelled_faces import write_faces, write_picture
from test_training_request import WIDGETS


def state(**widgets: str | None) -> str:
    return TrainAUAdapter.fingerprint_inputs(**WIDGETS | {"name": "anna"} | widgets)


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of ComfyUI's input."""
    monkeypatch.setattr(folder_paths, "input_directory", str(tmp_path))
    monkeypatch.setattr(folder_paths, "output_directory", str(tmp_path / "output"))
    write_picture(tmp_path / "photos" / "anna" / "0.png", 1)
    (tmp_path / "photos" / "labels.csv").write_text("file,AU12\nanna/0.png,2\n")
    (tmp_path / "photos" / "nowhere.png").symlink_to(tmp_path / "nowhere")
    return tmp_path / "photos"


def test_going_on_with_the_same_faces_is_the_same(photos: Path) -> None:
    assert state(data="photos") == state(data="photos") != state() == state()
    assert state(data="not there") == state(data="not there")


def test_changed_faces_are_another_state(photos: Path) -> None:
    seen = [state(data="photos")]
    (photos / "labels.csv").write_text("file,AU12\nanna/0.png,3\n")
    seen.append(state(data="photos"))
    os.utime(photos / "anna" / "0.png", (1, 1))
    seen.append(state(data="photos"))
    write_picture(photos / "anna" / "1.png", 2)
    seen.append(state(data="photos"))
    (photos / "anna" / "1.png").rename(photos / "anna" / "2.png")
    seen.append(state(data="photos"))
    assert len(set(seen)) == len(seen)


def test_of_shards_what_a_training_keeps_beside_them_is_no_change(tmp_path: Path) -> None:
    faces = write_faces(tmp_path, (2, 1))
    before = files_state(faces)
    (faces / "cache").mkdir()
    (faces / "cache" / "latents.safetensors").write_bytes(b"something")
    assert files_state(faces) == before
    os.utime(faces / "shard-00001.tar", (1, 1))
    assert files_state(faces) != before


def test_to_begin_again_is_new_each_time_and_so_is_what_is_not_known_yet(photos: Path) -> None:
    assert state(existing_run="begin again") != state(existing_run="begin again")
    for name in ("data", "name", "existing_run"):  # None: a link to another node
        assert state(**{name: None}) != state(**{name: None})
