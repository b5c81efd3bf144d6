"""Batches of pictures, as `au-adapter draw` and `au-adapter edit` make them: labelled files and a
JSON of what was asked and read.

A file carries what it was asked for and what made it. A run that is repeated draws only pictures
that are missing, or whose request, method or photo has changed.
"""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import torch
from PIL import PngImagePlugin
from torch import Tensor

from ..data.au_columns import read_notation
from ..data.pictures import PictureFolder, opened_picture, read_picture, write_png
from ..data.request_tables import RequestRow, read_requests
from ..disk import damage_named, full_disk_said, read_json, remove_abandoned, write_text
from ..estimators import Estimator, read_set
from ..estimators.reading import codes
from ..facs import AUVector
from ..methods import Editor, Generator
from ..methods.scales import for_editor
from ..weights.downloads import sha256
from .picture_report import facs_name
from .protocol_run import batches

LOGGER = logging.getLogger("au_adapter")
SCHEMA = 1
LIST = "pictures.json"
KEY = "au_adapter"  # the name of the record in a picture's metadata
BATCH = 8  # pictures at once, of a method that has no number of its own
LONGEST = 40  # letters of a prompt in a file name


@dataclass(frozen=True)
class Wanted:
    """One picture to make: AU code -> intensity or change, a seed, and a prompt or a photo."""

    aus: dict[str, float] = field(hash=False)
    seed: int
    prompt: str = ""
    photo: str = ""

    @property
    def origin(self) -> tuple[str, str, int]:
        """What a group of pictures has in common."""
        return self.photo, self.prompt, self.seed

    def name(self) -> str:
        """For its file: prompt or photo, seed, FACS code."""
        words = Path(self.photo).stem or re.sub(r"[^a-z0-9]+", "-", self.prompt.lower())[:LONGEST]
        return f"{words.strip('-') or 'picture'}_s{self.seed}_{facs_name(self.aus)}"


def photo_files(photos: Sequence[Path]) -> list[str]:
    """Photos by file: those named, and those in folders. ValueError for a folder without any."""
    files: list[str] = []
    for given in photos:
        found = PictureFolder(given).files if given.is_dir() else [given]
        if not found:
            raise ValueError(f"{given} holds no pictures")
        files += map(str, found)
    return files


def picture_requests(
    kind: str,
    given: Sequence[str],
    aus: Sequence[str],
    seeds: Sequence[int],
    table: Path | None = None,
) -> list[Wanted]:
    """Every prompt or photo with every seed and every AU text; requests of one and a seed together.

    kind: "prompt" or "photo", what is given. table: a CSV with the column aus, for AUs that differ
    from picture to picture. Where it has the columns prompt, or file (seen from the table), and
    seed, a line is drawn from these instead of those given. ValueError naming the line that cannot
    be understood.
    """
    if bool(aus) == bool(table):
        raise ValueError("Give --aus, such as --aus 6B+12C, or --requests with a CSV; one of both")
    if table:
        rows = read_requests(table, ("aus",))
    else:
        rows = [RequestRow("--aus", {}, read_notation(text, text, "--aus")) for text in aus]
    column, order, found = {"photo": "file"}.get(kind, kind), {}, []
    for row in rows:
        own, seed = row.cells.get(column), row.cells.get("seed")
        origins = [str(table.parent / own) if kind == "photo" else own] if own else given
        if not origins:
            lacks = "names no photo" if kind == "photo" else "has no prompt"
            raise ValueError(
                f"{row.where} {lacks}: fill the column {column}, or give {kind.upper()}"
            )
        if seed and not re.fullmatch(r"[+-]?[0-9]{1,18}", seed):
            raise ValueError(f"{row.where}: the seed is '{seed}', expected a whole number")
        for origin, number in product(origins, [int(seed)] if seed else seeds):
            found.append(Wanted(row.aus, number, **{kind: origin}))
            order.setdefault(found[-1].origin, len(order))
    # Those of one prompt or photo and one seed follow each other, by the first of each.
    return sorted(found, key=lambda one: order[one.origin])


@dataclass
class PictureBatch:
    """Makes pictures into a folder.

    method: a Generator for requests with prompts, an Editor for those with photos. reader: reads
    the AUs of every picture, and of photos. scale: of the requests, by default the method's; see
    `methods.scales`. face: which of a photo. tell: called after every picture.
    """

    method: Generator | Editor
    reader: Estimator
    output: Path
    scale: str | None = None
    face: int = 0
    tell: Callable[[], None] = lambda: None

    def run(self, wanted: Sequence[Wanted]) -> list[dict[str, Any]]:
        """Make what is missing, in the order of prompts or photos; the rows of pictures.json.

        A photo that cannot be read, or shows no such face, makes rows with "error", and the others
        go on. ValueError for AUs that the method does not know, before anything is drawn.
        """
        self.scale = self.scale or self.method.scale
        for one in wanted:
            self._check(one)
        self.output.mkdir(parents=True, exist_ok=True)
        remove_abandoned(self.output)
        self._settings = self.method.settings()
        named = _named(wanted)
        known = self._known({file for file, _ in named})
        rows: list[dict[str, Any]] = []
        size = getattr(self.method, "batch", BATCH)
        with full_disk_said(self.output):
            for group in batches(named, size, lambda entry: entry[1].origin):
                rows += self._group(group, known)
                every = {**known, **{row["file"]: row for row in rows}}
                told = {"schema": SCHEMA, "estimator": self.reader.name, "rows": [*every.values()]}
                write_text(self.output / LIST, json.dumps(told, indent=1) + "\n")
        return rows

    def _check(self, one: Wanted) -> None:
        aus = AUVector.from_dict(one.aus)
        try:
            aus.select(self.method.units)
        except ValueError as error:
            raise ValueError(f"{self.method.name}: {error}") from error
        if not self.method.sides and not torch.equal(*aus.sides()):
            raise ValueError(
                f"{self.method.name} moves both sides alike and was asked for {aus.notation()}: "
                "write AU12 instead of L12, or choose a method with left and right apart"
            )

    def _group(self, group: list[tuple[str, Wanted]], known: dict[str, dict]) -> list[dict]:
        """Rows of one prompt and seed, or one photo and seed. All of them are drawn where one is
        missing: the bits of a picture depend on those drawn beside it."""
        try:
            records = [self._record(one) for _, one in group]
            todo = [n for n, (file, _) in enumerate(group) if not self._done(file, records[n])]
            if todo:
                pictures = self._pictures([one for _, one in group])
                for n in todo:
                    _save(pictures[n], self.output / group[n][0], records[n])
            before = self._before(group[0][1].photo)
        except ValueError as error:
            message = f"{photo}: {error}" if (photo := group[0][1].photo) else str(error)
            LOGGER.error("%s", message)
            return [self._told(*entry, {"error": message}) for entry in group]
        return [self._told(*entry, self._read(entry[0], known, before)) for entry in group]

    def _pictures(self, wanted: Sequence[Wanted]) -> Tensor:
        first, aus = wanted[0], AUVector.stack([AUVector.from_dict(one.aus) for one in wanted])
        if not first.photo:
            return self.method.draw(first.prompt, first.seed, aus)
        photo = read_picture(Path(first.photo))

        def shown() -> AUVector:
            (seen,) = read_set(self.reader, photo).surest()
            if seen is None:
                raise ValueError(
                    f"{self.reader.name} finds no face whose AUs lie between the intensities and "
                    f"the changes that {self.method.name} takes: give --scale {self.method.scale}"
                )
            return seen.aus.select(self.method.units, strict=False)

        asked = for_editor(self.method, aus, self.scale, shown)
        return self.method.open(photo, self.face).edit(asked, first.seed)

    def _record(self, one: Wanted) -> dict[str, Any]:
        """What a picture says of itself: all that its pixels depend on."""
        origin, photo = {"prompt": one.prompt}, Path(one.photo)
        if one.photo:
            if not photo.is_file():
                raise ValueError("there is no such file")
            origin = {"photo": photo.name, "photo_sha256": sha256(photo), "face": self.face}
        made = {"method": self.method.name, "settings": self._settings}
        return {**made, **origin, "seed": one.seed, "scale": self.scale, "aus": one.aus}

    def _done(self, file: str, record: dict[str, Any]) -> bool:
        """Whether a whole picture of the same record is there."""
        path = self.output / file
        if not path.is_file():
            return False
        try:
            with opened_picture(path) as picture:
                picture.load()
                return json.loads(picture.info.get(KEY, "null")) == json.loads(json.dumps(record))
        except ValueError as error:  # no whole picture, or no record of ours
            LOGGER.warning("%s is damaged and drawn again: %s", path, error)
            return False

    def _before(self, photo: str) -> dict[str, Any]:
        """What the estimator reads on the photo of an edit."""
        if not photo:
            return {}
        (seen,) = read_set(self.reader, read_picture(Path(photo))).surest()
        return {"before": codes(seen.aus) if seen else None}

    def _read(self, file: str, known: dict[str, dict], before: dict) -> dict[str, Any]:
        """What the estimator reads on a picture, as it was read before where it is the same."""
        digest = sha256(self.output / file)
        if known.get(file, {}).get("sha256") == digest:
            row = known[file]
            return {**before, **{key: row[key] for key in ("faces", "measured", "sha256")}}
        readings = read_set(self.reader, read_picture(self.output / file))
        (seen,) = readings.surest()
        measured = codes(seen.aus) if seen else None
        found = {"faces": len(readings.readings), "measured": measured, "sha256": digest}
        return {**before, **found}

    def _told(self, file: str, one: Wanted, found: dict[str, Any]) -> dict[str, Any]:
        self.tell()
        origin = {"source": one.photo} if one.photo else {"prompt": one.prompt}
        asked = {"seed": one.seed, "requested": one.aus}
        made = {"method": self.method.name, "settings": self._settings, "scale": self.scale}
        return {"file": file, **made, **origin, **asked, **found}

    def _known(self, files: Collection[str]) -> dict[str, dict[str, Any]]:
        """The rows of earlier runs into this folder, by file. files: of this run. ValueError where
        another estimator read pictures besides these."""
        path = self.output / LIST
        if not path.is_file():
            return {}
        found = read_json(path)
        with damage_named(path, "Delete it, and the pictures will be read again"):
            whole = [row for row in found["rows"] if "sha256" in row]
            rows = {row["file"]: row for row in whole if (self.output / row["file"]).is_file()}
            _ = [(row["faces"], row["measured"]) for row in whole]
            estimator = str(found["estimator"])
        if estimator == self.reader.name:
            return rows
        if rows.keys() <= {*files}:
            return {}
        raise ValueError(
            f"{path} holds readings by the {estimator}, this run reads by the "
            f"{self.reader.name}: choose another folder, or the same --estimator"
        )


def _named(wanted: Sequence[Wanted]) -> list[tuple[str, Wanted]]:
    """Each request with its file; requests of the same name are numbered."""
    counts, named = Counter(), []
    for one in wanted:
        name = one.name()
        counts[name] += 1
        number = f"_{counts[name]}" if counts[name] > 1 else ""
        named.append((f"{name}{number}.png", one))
    return named


def _save(picture: Tensor, path: Path, record: dict[str, Any]) -> None:
    """Write a picture [H, W, 3] with its record, whole or not at all."""
    if not picture.isfinite().all():
        raise ValueError("the picture has NaN or infinity: nothing is written of it")
    about = PngImagePlugin.PngInfo()
    about.add_text(KEY, json.dumps(record))
    write_png(path, picture, about)
