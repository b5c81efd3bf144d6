"""Small labelled data sets on disk: pictures that can be told apart, tables, DISFA's folders."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image

from au_adapter.data.face_source import LabelledFace
from au_adapter.data.shards import make_label, shard_path, write_shard
from au_adapter.facs import SET_A


def write_picture(file: Path, number: int = 0, size: tuple[int, int] = (24, 32)) -> Path:
    """A picture of one grey, `number`."""
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (number, number, number)).save(file)
    return file


def write_table(file: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    """A CSV with the first row's keys as header."""
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return file


def write_faces(folder: Path, counts: Sequence[int]) -> Path:
    """Shards of so many faces; face n, counted through all, is of grey n and AU12 at n / 100."""
    folder.mkdir(parents=True, exist_ok=True)
    number = 0
    for shard, count in enumerate(counts):
        faces = []
        for _ in range(count):
            file = write_picture(folder / "pictures" / f"{number}.png", number, (8, 8))
            label = make_label({"12": number / 100}, f"face {number}")
            faces.append((f"{number:04d}", "png", file.read_bytes(), label))
            number += 1
        write_shard(shard_path(folder, shard), faces)
    return folder


def write_disfa(folder: Path, subjects: Mapping[str, Sequence[Mapping[int, int]]]) -> Path:
    """DISFA's folders "labels" and "frames": subject -> AU -> intensity, frame after frame."""
    for name, frames in subjects.items():
        (folder / "labels" / name).mkdir(parents=True)
        for unit in SET_A:
            lines = [f"{i},{frame.get(unit, 0)}" for i, frame in enumerate(frames, 1)]
            (folder / "labels" / name / f"{name}_au{unit}.txt").write_text("\n".join(lines))
        for i in range(len(frames)):
            write_picture(folder / "frames" / name / f"{i:05d}.jpg", i)
    return folder


class FixedSource:
    """Faces as given, and steps as given."""

    def __init__(self, faces: Sequence[LabelledFace], steps: tuple, **settings: object):
        self.rows, self.steps, self.settings = list(faces), steps, {"source": "test", **settings}

    def faces(self):
        return iter(LabelledFace(f.file, f.aus, f.caption, f.about) for f in self.rows)
