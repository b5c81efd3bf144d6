"""The files of a training in the model folder, and its note of what was last written there.

A run may end while nobody follows it any more, and a file may fail to be written: whether there is
something to write is told by comparing what the run keeps with the note, not by the steps heard.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from au_adapter.disk import replacing
from au_adapter.models.adapter import AUAdapter
from au_adapter.training.trouble import explained
from au_adapter.weights.adapter_files import adapter_hash, save_adapter

from .au_adapter import FOLDER
from .compat import folder_paths

NOTE = "saved.json"  # in the folder of the run


def saved_as(run: Path, adapter: AUAdapter) -> str | None:
    """The file that a run wrote of this adapter, as models/au_adapter names it; None where what it
    wrote last is another one, or is gone."""
    note = _read(run)
    same = note.get("weights") == adapter_hash(adapter)
    return note["file"] if same and missing_file(run) is None else None


def missing_file(run: Path) -> str | None:
    """The file that a run wrote last, where nobody finds it any more."""
    file = _read(run).get("file")
    gone = file is not None and folder_paths.get_full_path(FOLDER, file) is None
    return file if gone else None


def save_numbered(run: Path, adapter: AUAdapter, name: str) -> str:
    """Write an adapter under the next number of a name, and note it in the run; the new file, as
    models/au_adapter names it. An OSError where it cannot be written."""
    path = numbered(name)
    with explained(path.parent):
        save_adapter(adapter, path)
    with explained(run):
        _note(run, adapter, path)
    return path.relative_to(_models()).as_posix()


def numbered(name: str) -> Path:
    """The next free NAME_00001.safetensors of the model folder."""
    path = _models() / name
    pattern = re.compile(re.escape(path.name) + r"_(\d{5})\.safetensors")
    files = path.parent.glob("*.safetensors")
    taken = [int(m[1]) for file in files if (m := pattern.fullmatch(file.name))]
    return path.with_name(f"{path.name}_{max(taken, default=0) + 1:05d}.safetensors")


def _note(run: Path, adapter: AUAdapter, path: Path) -> None:
    """Which adapter of the run lies in which file. A cut leaves the note of before, and at worst a
    second file of one adapter."""
    file = path.relative_to(_models()).as_posix()
    step = (adapter.provenance or {}).get("step")
    note = {"file": file, "step": step, "weights": adapter_hash(adapter)}
    with replacing(run / NOTE) as partial:
        partial.write_text(json.dumps(note), encoding="utf-8")


def _read(run: Path) -> dict:
    """The note of a run; empty where it wrote no file yet."""
    path = run / NOTE
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _models() -> Path:
    return Path(folder_paths.get_folder_paths(FOLDER)[0])
