"""What may stand for labelled faces where a training is started, and the shards it comes to.

rendered           renders at hand: the downloads' folder, else the sample of a clone
rendered:4000      so many, drawn now where they are fewer; needs the face model
FOLDER             shards, as `au-adapter render` and `prepare` write them
FOLDER             pictures with a table of labels, such as labels.csv: prepared first
"""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path

from ..data.card import describe_folder, shard_counts
from ..data.labelled_folder import LabelledFolder
from ..data.preparation import file_digest, label_digest
from ..data.prepare_shards import prepare
from ..data.rendered import find_renders
from ..data.shards import PATTERN, find_shards
from ..weights.downloads import cache_folder, face_model

logger = logging.getLogger("au_adapter")
RENDERED = re.compile(r"rendered(?::(\d+))?")
TABLES = (".csv", ".jsonl")
PREFERRED = ("labels.csv", "labels.jsonl")
# Renders to train on: as the bundled base draws people, who look at the camera.
STYLE = {"expressions": "au", "pose_spread": 0.4, "seed": 41}


def find_faces(data: str | Path, output: Path, cut: int | None = None) -> Path:
    """The folder of shards that `data` stands for; see above. output: the folder of the run, which
    keeps what had to be prepared. cut: pixels of a side of the faces that are cut out of pictures
    then; None keeps whole pictures.

    FileNotFoundError where nothing is there, ValueError where it is something else.
    """
    folder, named = Path(data), RENDERED.fullmatch(str(data))
    if named and not folder.exists():
        found = _render(int(named[1])) if named[1] else find_renders()
        logger.info("rendered faces: %s", found)
        return found
    if not folder.is_dir():
        raise FileNotFoundError(
            f"there is no folder {folder}: name one with labelled faces, or `rendered`"
        )
    if any(folder.glob(PATTERN)):
        return folder
    faces = LabelledFolder(folder, table := find_table(folder)).faces
    name = f"faces-{label_digest(faces())[:6]}{file_digest(faces())[:6]}{'-cut' if cut else ''}"
    shards = Path(output) / name
    card = prepare("folder", folder, table, shards, cut=cut)  # once for each state of the two
    for step in card["steps"]:
        if step["dropped"]:
            logger.warning("%d of %d left out: %s", step["dropped"], step["in"], step["step"])
    return shards


def data_card(folder: Path, name: str | None = None) -> dict:
    """A short data card of a folder, its shards only counted. name: instead of the folder's own."""
    card = describe_folder(folder)
    return {"folder": name or folder.name, **card, "shards": len(card["shards"])}


def find_table(folder: Path) -> Path:
    """The table of labels in a folder of pictures. ValueError without one, or with several."""
    tables = sorted(p for p in folder.iterdir() if p.suffix.lower() in TABLES)
    preferred = [p for p in tables if p.name.lower() in PREFERRED]
    chosen = preferred or tables
    if len(chosen) != 1:
        found = ", ".join(p.name for p in tables) or "none"
        raise ValueError(
            f"{folder} needs one table of labels beside its pictures, or shards ({PATTERN}); found "
            f"{found}. Write labels.csv with the columns file, caption and AUs such as AU12, or "
            "make shards with `au-adapter prepare`"
        )
    return chosen[0]


def _render(count: int) -> Path:
    """A folder of at least `count` renders, which a later call finds again."""
    folder = cache_folder("rendered")
    if any(folder.glob(PATTERN)) and sum(shard_counts(find_shards(folder)).values()) >= count:
        return folder
    from ..data.rendering.dataset import render_dataset  # needs OpenGL, and half a second

    model = face_model()
    if not model.is_file():
        raise FileNotFoundError(
            f"to render {count} faces, the face model {model} is missing: run `au-adapter download "
            "ict-facekit`, or train on `rendered`, the faces at hand"
        )
    workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    render_dataset(model, folder, count, workers=workers or 1, **STYLE)
    return folder
