"""The files of Train AU-Adapter: the adapters that it saves, a note of the last one, and whether
anything has changed since.

A run may go on after its node was interrupted, and saving may fail. So the node compares the run's
adapter with the note to decide whether to save, and does not count steps.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import uuid
from contextlib import suppress
from pathlib import Path

from au_adapter.data.shards import PATTERN
from au_adapter.disk import read_json, replacing
from au_adapter.models.adapter import AUAdapter
from au_adapter.training.errors import explained
from au_adapter.training.sources import TABLES
from au_adapter.weights.adapter_files import adapter_hash, save_adapter

from .au_adapter import ADAPTER_FOLDER
from .compat import folder_paths
from .train_request import RUNS, faces_folder, run_folder

NOTE = "saved.json"  # in the folder of the run


def saved_as(run: Path, adapter: AUAdapter) -> str | None:
    """The file in models/au_adapter that holds this adapter; None where the run's last file holds
    another one or is gone."""
    note = _read(run)
    same = note.get("weights") == adapter_hash(adapter)
    return note["file"] if same and missing_file(run) is None else None


def missing_file(run: Path) -> str | None:
    """The run's last file, if it is gone; else None."""
    file = _read(run).get("file")
    gone = file is not None and folder_paths.get_full_path(ADAPTER_FOLDER, file) is None
    return file if gone else None


def save_numbered(run: Path, adapter: AUAdapter, name: str) -> str:
    """Save an adapter under the next number of a name, note it in the run, and return the file's
    name in models/au_adapter. An OSError where it cannot be written.

    A crash between the two leaves the old note, and at worst a second file of the same adapter.
    """
    path = numbered(name)
    with explained(path.parent):
        save_adapter(adapter, path)
    file = path.relative_to(_models()).as_posix()
    step = (adapter.provenance or {}).get("step")
    note = {"file": file, "step": step, "weights": adapter_hash(adapter)}
    with explained(run), replacing(run / NOTE) as partial:
        partial.write_text(json.dumps(note), encoding="utf-8")
    return file


def numbered(name: str) -> Path:
    """The next free NAME_00001.safetensors of the model folder."""
    path = _models() / name
    pattern = re.compile(re.escape(path.name) + r"_(\d{5})\.safetensors")
    files = path.parent.glob("*.safetensors")
    taken = [int(m[1]) for file in files if (m := pattern.fullmatch(file.name))]
    return path.with_name(f"{path.name}_{max(taken, default=0) + 1:05d}.safetensors")


def _read(run: Path) -> dict:
    """The note of a run; empty before its first file."""
    path = run / NOTE
    note = read_json(path) if path.is_file() else {}
    if not isinstance(note, dict):
        raise ValueError(f"{path} is damaged: no note of a file. Delete it")
    return note


def _models() -> Path:
    return Path(folder_paths.get_folder_paths(ADAPTER_FOLDER)[0])


def fingerprint(data: str | None, name: str | None, existing_run: str | None) -> str:
    """Equal where a run would do nothing: "go on" with the same faces, while the written file is
    there. Always new for "begin again", and for an input that is None: ComfyUI asks before the node
    that provides it has run.
    """
    if None in (data, name, existing_run) or existing_run == RUNS[1]:
        return uuid.uuid4().hex
    return f"{files_state(faces_folder(data))} {missing_file(run_folder(name))}"


def files_state(folder: Path) -> str:
    """A digest of the names, sizes and times of a folder's files, none of which is opened.

    In a folder of shards only they count: a training keeps a cache beside them.
    """
    walk = (Path(parent, name) for parent, _, names in os.walk(folder) for name in names)
    digest = hashlib.sha256()
    for path in sorted(folder.glob(PATTERN)) or sorted(walk):
        with suppress(FileNotFoundError):  # deleted meanwhile, or a broken link
            found = path.stat()
            digest.update(os.fsencode(path.relative_to(folder)))
            digest.update(f"\0{found.st_size}\0{found.st_mtime_ns}\0".encode())
    return digest.hexdigest()


def labelled_folders() -> list[str]:
    """The folders inside ComfyUI's input folder that hold labelled faces: a table, or shards."""
    root = Path(folder_paths.get_input_directory())
    return [name for name in folder_paths.get_input_subfolders() if _is_labelled(root / name)]


def _is_labelled(folder: Path) -> bool:
    return any(folder.glob(PATTERN)) or any(
        path.suffix.lower() in TABLES and path.is_file() for path in folder.iterdir()
    )
