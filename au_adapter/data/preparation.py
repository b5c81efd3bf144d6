"""Write labelled faces of any source as shards: filter, correct labels, caption. Resumable.

Rows are processed in parts of a fixed size. Each part leaves a file of verdicts and, once its shard
is written, a file of counts; a part with both is done. A stopped run resumes there, and no face is
judged or captioned twice.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import islice
from pathlib import Path

from PIL import Image

from ..disk import damage_named, full_disk_said, read_json, remove_abandoned, write_json
from .card import CARD, WORK, add_counts, count_labels, counts_path, make_card, read_counts
from .face_cutter import FaceCutter
from .face_source import Captioner, FaceSource, LabelledFace, Step
from .pictures import file_of, opened_picture
from .shards import make_label, shard_path, write_shard

LOGGER = logging.getLogger("au_adapter")
BATCH = 16  # pictures that are decoded, asked about and captioned together
JPEG_QUALITY = 95
FORMATS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp"}  # kept as they are
DIGESTS = {  # settings whose value tells a person nothing -> what it means that they differ
    "labels": "the labels are not those of before",
    "pictures": "pictures were added, changed or taken away since, or are another folder's",
}

Correct = Callable[[dict[str, float]], dict[str, float]]
FitCorrection = Callable[[Iterator[dict[str, float]]], Correct]


@dataclass(frozen=True)
class Preparation:
    """What to do with a source. size: pixels of a side to squash pictures to; None keeps files.

    fit: from the labels of all faces that stay, a function that corrects a label. captioner: asked
    for faces without a caption; None leaves those empty. part: rows that are worked on together.
    cutter: cuts the face out of each picture, see `face_cutter`; None keeps whole pictures.
    """

    source: FaceSource
    output: Path
    size: int | None = None
    fit: FitCorrection | None = None
    captioner: Captioner | None = None
    part: int = 1000
    cutter: FaceCutter | None = None

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """The reasons to leave faces out, in their order."""
        return (*self.source.steps, *([self.cutter] if self.cutter else []))

    @cached_property
    def settings(self) -> dict:
        """What the result depends on, as the data card says it. labels: a digest of all rows, so
        that a preparation is not gone on with after its labels were corrected."""
        return {
            **self.source.settings,
            "labels": label_digest(self.source.faces()),
            "size": self.size,
            "captioner": self.captioner.name if self.captioner else None,
            "part": self.part,
            **({"faces": self.cutter.size} if self.cutter else {}),
        }

    @cached_property
    def state(self) -> dict:
        """The settings and the state of this machine's picture files: what was decided holds as
        long as both stay, so that a picture that came later is not left out."""
        return {**self.settings, "pictures": file_digest(self.source.faces())}

    def run(self) -> dict:
        """Do what is left to do, and return the data card, which lies in the folder too.

        Raises ValueError when the folder holds another preparation or no face stays, OSError with
        what to do when the disk is full; whole parts stay in every case.
        """
        with full_disk_said(self.output):
            (self.output / WORK).mkdir(parents=True, exist_ok=True)
            remove_abandoned(self.output)
            self._claim()
            for number, faces in self._parts():
                if not self._verdicts(number).exists():
                    write_json(self._verdicts(number), judge(faces, self.steps))
            kept = (face for number, faces in self._parts() for face in self._kept(number, faces))
            correct = self.fit(dict(face.aus) for face in kept) if self.fit else dict
            for number, faces in self._parts():
                if not self._counts(number).exists():
                    self._write(number, self._kept(number, faces), correct)
            return self._finish()

    def _parts(self) -> Iterator[tuple[int, list[LabelledFace]]]:
        rows, number = iter(self.source.faces()), 0
        while faces := list(islice(rows, self.part)):
            yield number, faces
            number += 1

    def _verdicts(self, number: int) -> Path:
        return self.output / WORK / f"verdicts-{number:05d}.json"

    def _counts(self, number: int) -> Path:
        return counts_path(shard_path(self.output, number))

    def _kept(self, number: int, faces: list[LabelledFace]) -> list[LabelledFace]:
        with damage_named(self._verdicts(number), "Delete it"):
            pairs = list(zip(faces, self._judged(number), strict=True))
        return [face for face, reason in pairs if reason is None]

    def _judged(self, number: int) -> list[str | None]:
        """The verdicts of a part, as `judge` gave them."""
        path, names = self._verdicts(number), {None, *(step.name for step in self.steps)}
        with damage_named(path, "Delete it"):
            found = list(read_json(path))
            if wrong := [verdict for verdict in found if verdict not in names]:
                raise ValueError(f"{wrong[0]!r} is no step of this preparation")
        return found

    def _claim(self) -> None:
        path = self.output / WORK / "settings.json"
        if path.exists() and (found := read_json(path)) != self.state:
            if not isinstance(found, dict):
                raise ValueError(f"{path} is damaged: no settings of a preparation. Delete it")
            differing = "; ".join(
                DIGESTS.get(name, f"{name} was {found.get(name)!r}, now {value!r}")
                for name, value in self.state.items()
                if found.get(name) != value
            )
            raise ValueError(
                f"{self.output} holds faces prepared in another way: {differing}. Choose another "
                "folder, or delete this one"
            )
        write_json(path, self.state)

    def _write(self, number: int, faces: list[LabelledFace], correct: Correct) -> None:
        labels: list[dict] = []

        def content() -> Iterator[tuple]:
            for first in range(0, len(faces), BATCH):
                batch = faces[first : first + BATCH]
                for face, caption in zip(batch, self._captions(batch), strict=True):
                    key = f"{number * self.part + len(labels):08d}"
                    kind, *files, about = self._picture(face)
                    labels.append(make_label(correct(dict(face.aus)), caption, about))
                    yield key, kind, files[0], labels[-1], *files[1:]
                    vars(face).pop("picture", None)  # decoded pictures are large

        if faces:
            write_shard(shard_path(self.output, number), content())
        write_json(self._counts(number), count_labels(labels))
        LOGGER.info("part %d: %d faces", number, len(faces))

    def _picture(self, face: LabelledFace) -> tuple:
        """Its kind, its bytes, those of its mask where it is cut out, and what its label tells."""
        if not self.cutter:
            return *encoded(face, self.size), face.about
        picture, mask, found = self.cutter.cut(face)
        return "jpg", picture, mask, {**face.about, **found}

    def _captions(self, faces: Sequence[LabelledFace]) -> list[str]:
        captions = [face.caption for face in faces]
        empty = [i for i, caption in enumerate(captions) if not caption]
        if self.captioner and empty:
            made = self.captioner.caption([faces[i].picture for i in empty])
            for i, caption in zip(empty, made, strict=True):
                captions[i] = caption
        return captions

    def _finish(self) -> dict:
        parts, dropped, shards = [], Counter(), {}
        for number, _ in self._parts():
            part, judged = read_counts(self._counts(number)), self._judged(number)
            if part["faces"] != judged.count(None):
                raise ValueError(
                    f"{self._counts(number)} is damaged: it counts {part['faces']} faces, and "
                    f"{judged.count(None)} were kept. Delete it"
                )
            parts.append(part)
            dropped.update(judged)
            if part["faces"]:
                shards[shard_path(self.output, number).name] = part["faces"]
        left, steps = dropped.total(), []
        for step in self.steps:
            steps.append({"step": step.name, "in": left, "dropped": dropped[step.name]})
            left -= dropped[step.name]
        counts = add_counts(parts)
        if not counts["faces"]:
            read = steps[0]["in"] if steps else 0
            reasons = ", ".join(f"{s['dropped']} {s['step']}" for s in steps if s["dropped"])
            shutil.rmtree(self.output / WORK)  # nothing worth going on from
            raise ValueError(
                f"None of {read} faces is left: {reasons or 'the table has no rows'}. Check the "
                "folder of pictures, the table and its format, and run this again"
            )
        card = make_card(counts, shards, self.settings, steps)
        write_json(self.output / CARD, card)
        return card


def label_digest(faces: Iterable[LabelledFace]) -> str:
    """16 hex digits of what the rows say, in their order."""
    return _digest([face.file.name, face.aus, face.caption, face.about] for face in faces)


def file_digest(faces: Iterable[LabelledFace]) -> str:
    """16 hex digits of the rows' picture files: where they lie, how large they are and when they
    were written, or that they are not there. Nothing of them is read."""
    folders = cache(Path.resolve)  # there are few of them

    def state(file: Path) -> list[object]:
        found = file.stat() if file.is_file() else None
        return [str(folders(file.parent)), file.name, found and (found.st_size, found.st_mtime_ns)]

    return _digest(state(face.file) for face in faces)


def _digest(rows: Iterable[object]) -> str:
    found = hashlib.sha256()
    for row in rows:
        found.update(json.dumps(row).encode())
    return found.hexdigest()[:16]


def judge(faces: Sequence[LabelledFace], steps: Sequence[Step]) -> list[str | None]:
    """For each face, the name of the first step that drops it, or None."""
    verdicts: list[str | None] = [None] * len(faces)
    for first in range(0, len(faces), BATCH):
        rows = range(first, min(first + BATCH, len(faces)))
        for step in steps:
            left = [row for row in rows if verdicts[row] is None]
            kept = step.keeps([faces[row] for row in left]) if left else []
            for row, stays in zip(left, kept, strict=True):
                if not stays:
                    verdicts[row] = step.name
                    LOGGER.debug("%s: %s", faces[row].file, step.name)
        for row in rows:
            vars(faces[row]).pop("picture", None)  # decoded pictures are large
    return verdicts


def encoded(face: LabelledFace, size: int | None) -> tuple[str, bytes]:
    """Kind and content of the picture's file: its own, or a JPEG of size x size pixels."""
    if size is None:
        with opened_picture(face.file) as picture:
            kind = FORMATS.get(picture.format or "", "")
        if kind:
            return kind, face.file.read_bytes()
    picture = face.picture
    if size is not None:
        picture = picture.resize((size, size), Image.Resampling.BILINEAR)
    return "jpg", file_of(picture, "JPEG", quality=JPEG_QUALITY)
