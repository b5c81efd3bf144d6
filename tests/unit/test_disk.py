"""Files are whole or not there, and a full disk is said in one sentence."""

from __future__ import annotations

import errno
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from little_room import largest_file
from safetensors import SafetensorError

from au_adapter.data.rendered import SAMPLE, load
from au_adapter.disk import (
    full_disk_said,
    path_inside,
    read_json,
    replacing,
    write_json,
    write_text,
)
from au_adapter.models.autoencoder import DemoAutoencoder
from au_adapter.training import face_tensors
from au_adapter.weights import tensors as weight_tensors


def test_half_a_file_never_stays(tmp_path: Path) -> None:
    file = tmp_path / "card.json"
    file.write_text("before")
    full = pytest.raises(OSError, match="File too large")
    with largest_file(4096), full, replacing(file) as partial:
        partial.write_bytes(bytes(8192))
    assert [p.name for p in tmp_path.iterdir()] == ["card.json"]
    assert file.read_text() == "before"


def test_a_file_takes_its_place_when_it_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "card.json"
    with replacing(file) as partial:
        partial.write_text("new")
        assert not file.exists() and partial.parent == tmp_path
    assert file.read_text() == "new" and len(list(tmp_path.iterdir())) == 1


def test_no_half_of_the_latents_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(tensors: dict, file: Path, metadata: None) -> None:
        file.write_bytes(bytes(10))
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(weight_tensors, "save_file", full)
    with pytest.raises(OSError, match="No space"):
        face_tensors.cached_latents(load(SAMPLE, limit=2), DemoAutoencoder(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_no_half_of_the_landmarks_stays(tmp_path: Path) -> None:
    place = tmp_path / "landmarks.safetensors"
    place.mkdir()  # where nothing can be put
    with pytest.raises(OSError, match="landmarks"):
        weight_tensors.write_tensors(place, {"points": torch.empty(0, 478, 3)}, {"pictures": "3"})
    assert list(tmp_path.iterdir()) == [place]


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        SafetensorError("I/O error: No space left on device (os error 28)"),
        SafetensorError("I/O error: Disk quota exceeded (os error 122)"),
        RuntimeError("[enforce fail] PytorchStreamWriter failed writing file data/0"),
    ],
    ids=str,
)
def test_a_full_disk_and_a_full_quota_are_said(tmp_path: Path, error: Exception) -> None:
    said = "disk of .* is full.*make room and run this again"
    with pytest.raises(OSError, match=said), full_disk_said(tmp_path):
        raise error


def test_other_trouble_is_left_alone(tmp_path: Path) -> None:
    with pytest.raises(PermissionError, match="mine"), full_disk_said(tmp_path):
        raise PermissionError(errno.EACCES, "mine")


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    file, node = tmp_path / "shard-00000.tar", platform.node()
    dead, living = (
        tmp_path / f".{file.name}.{node}.{process}.partial" for process in (gone.pid, os.getppid())
    )
    elsewhere, old = (tmp_path / f".{file.name}.another-{n}.1.partial" for n in (1, 2))
    other = tmp_path / f".shard-00001.tar.{node}.{gone.pid}.partial"
    for path in (dead, living, elsewhere, old, other):
        path.write_text("half")
    os.utime(old, (0, 0))
    write_text(file, "whole")
    assert {*tmp_path.iterdir()} == {file, living, elsewhere, other}


@pytest.mark.parametrize(
    "name", ["anna", "people/anna", "people/anna/", "./anna", " anna ", "\xe4"]
)
def test_a_chosen_name_lies_inside_its_folder(tmp_path: Path, name: str) -> None:
    place = path_inside(tmp_path, name, "here")
    assert tmp_path in place.parents and place.name in ("anna", "\xe4")


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        ".",
        "..",
        "../a",
        "/tmp/a",
        ".lock",
        "x/.lock",
        "a\0",
        "\ud800",
        "\n",
        "n" * 300,
        "\xe4" * 150,
    ],
)
def test_a_chosen_name_that_leads_out_is_hidden_or_fits_no_disk(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="is not a name inside here; write a file name") as caught:
        path_inside(tmp_path, name, "here")
    assert len(str(caught.value)) < 300
    str(caught.value).encode()


def test_text_and_json_are_whole_or_not_there(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "caf\xe9")
    assert (tmp_path / "a.txt").read_bytes() == b"caf\xc3\xa9"
    write_json(tmp_path / "a.json", {"12": 3})
    assert read_json(tmp_path / "a.json") == {"12": 3}
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", object())
    assert read_json(tmp_path / "a.json") == {"12": 3}
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(ValueError, match="a.json is damaged: no JSON"):
        read_json(tmp_path / "a.json")
