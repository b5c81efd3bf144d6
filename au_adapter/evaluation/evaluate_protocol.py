"""Evaluate a method by a paper's protocol: make its pictures, read and compare them."""

from __future__ import annotations

import csv
import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from ..data.pictures import PictureFolder, read_picture, write_png
from ..data.rendered import iterate
from ..data.request_tables import read_requests
from ..data.shards import label_values
from ..disk import replacing
from ..estimators import Estimator, read_set
from ..facs import SET_A, AUVector
from ..methods import Editor, Generator, OpenPhoto, open_editor, open_generator
from ..methods.sampling import resized
from ..methods.scales import as_intensities, for_editor
from .closed_loop import closed_loop
from .comparison import Comparison
from .evaluate_folder import contents, measured_by
from .protocol_run import run_protocol
from .protocols import Frame, Protocol, load_protocol
from .records import REFERENCE, Request

LOGGER = logging.getLogger("au_adapter")
PICTURES = "pictures"  # the folder of a run's pictures in its output
BATCH = 8  # pictures at once, of a method that has no number of its own


def evaluate_protocol(
    what: str,
    output: Path,
    method: str | None,
    options: Mapping[str, Any],
    reader: Estimator,
    compare: Comparison,
    *,
    photos: Path | None = None,
    frames: Path | None = None,
    limit: int | None = None,
    rounds: int = 1,
) -> None:
    """Make and measure the pictures of a protocol.

    method, options: see `methods.open_generator` for protocols of prompts, `open_editor` for those
    of photos; by default the AU-Adapter, on photos by SDEdit. photos, frames: see `load_protocol`.
    limit: a trial of so many pictures. rounds: of the closed loop. The pictures stay in the folder
    "pictures" of `output`, and requested.csv beside it says what each was asked for, as
    `evaluate_folder` reads it: so another tool can measure them.
    """
    files = PictureFolder(photos).files if photos else []
    protocol = limited(load_protocol(what, files, _frames(frames, output / "frames")), limit)
    edits = bool(protocol.references[0].source)
    if edits:
        editor = open_editor(method or "au-adapter-sdedit", **options)
        pictures = PhotoPictures(editor, reader, protocol.scale, rounds)
    else:
        generator = open_generator(method or "au-adapter", **options)
        pictures = PromptPictures(generator, reader, rounds)
    settings = {**pictures.method.settings(), "rounds": rounds}
    if edits:
        settings["photos"] = contents(protocol)

    about = measured_by(protocol, compare, reader)
    plain = getattr(pictures.method, "plain", None) if "clip_i" in compare.measures else None
    if plain:
        plain = lru_cache(1)(plain)
        about["networks"] = {**about["networks"], "clip_i_base": compare.networks["clip_i"]}

    def compared(images: Tensor, references: Tensor, rows: Sequence[Request]) -> dict[str, Tensor]:
        found = compare(images, pictures.references(rows, references) if edits else references)
        if plain:
            found |= compare.beside_base(images, plain(rows[0].prompt, rows[0].seed))
        return found

    folder = output / PICTURES
    folder.mkdir(parents=True, exist_ok=True)
    _write_requests(protocol, output / "requested.csv")

    def kept(requests: Sequence[Request]) -> Tensor:
        images = pictures(requests)
        for request, image in zip(requests, images, strict=True):
            if image.isfinite().all():
                write_png(folder / f"{request.id}.png", image)
        return images

    run_protocol(
        protocol,
        kept,
        reader.estimate,
        output,
        compare=compared,
        method=pictures.method.name + (", closed loop" if rounds > 1 else ""),
        settings=settings,
        batch_size=getattr(pictures.method, "batch", BATCH),
        **about,
    )


def _write_requests(protocol: Protocol, table: Path) -> None:
    """A CSV of file, aus and source for `evaluate_folder`."""
    with replacing(table) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("file", "aus", "source"))
        for row in protocol.rows:
            source = f"{row.reference}.png" if row.reference else ""
            aus = "+".join(f"{code}:{value:g}" for code, value in row.requested.items())
            writer.writerow((f"{row.id}.png", aus, source))


def limited(protocol: Protocol, limit: int | None) -> Protocol:
    """`limit` of the rows, scattered over the protocol and in its order, with their references.
    Hashes of their ids choose: always the same ones, and a larger choice contains a smaller one."""
    if limit is None or limit >= len(protocol.rows):
        return protocol
    chosen = sorted(protocol.rows, key=lambda row: hashlib.sha256(row.id.encode()).digest())[:limit]
    rows = tuple(row for row in protocol.rows if row in chosen)
    used = {row.reference for row in rows}
    references = tuple(row for row in protocol.references if row.id in used)
    title = f"{protocol.title}: a trial of {limit} of its {len(protocol.rows)} pictures"
    return replace(protocol, rows=rows, references=references, title=title)


def _frames(source: Path | None, folder: Path) -> list[Frame]:
    """Labelled photos: a CSV with the columns file, subject and aus, or a folder of renders, whose
    pictures are written to `folder`."""
    if source is None:
        return []
    if not source.is_dir():
        return [
            Frame(str(source.parent / row.cells["file"]), row.cells["subject"], row.aus)
            for row in read_requests(source, ("file", "subject", "aus"))
        ]
    folder.mkdir(parents=True, exist_ok=True)
    frames = []
    for number, sample in enumerate(iterate(source)):
        path, label = folder / f"{number:05d}.png", sample["label"]
        if not path.is_file():
            write_png(path, Image.fromarray(sample["image"]))  # processes do this at once
        frames.append(Frame(str(path), str(label["identity"]), _labels(label)))
    return frames


def _labels(label: Mapping[str, Any]) -> dict[str, float]:
    """The AUs of set A that a render shows, by side where the sides differ."""
    sides = (label_values([label], side, SET_A) for side in ("left", "right"))
    left, right = map(torch.from_numpy, sides)
    return AUVector(SET_A, left, left, right).dict()


@dataclass(frozen=True)
class PromptPictures:
    """Draws rows of one prompt. rounds: of the closed loop; 1 draws what is asked for."""

    method: Generator
    estimator: Estimator
    rounds: int = 1

    def __call__(self, rows: Sequence[Request]) -> Tensor:
        first = rows[0]
        if first.group == REFERENCE:
            # The method's neutral face: Eq. 4 of FineFace compares pictures of one network.
            zeros = AUVector.zeros()
            return torch.cat([self.method.draw(row.prompt, row.seed, zeros) for row in rows])
        draw = partial(self.method.draw, first.prompt, first.seed)
        if self.rounds == 1:
            return draw(requested(rows))
        return closed_loop(draw, self.estimator, requested(rows), rounds=self.rounds).images


@dataclass(frozen=True)
class PhotoPictures:
    """Edits the photo of rows. scale: as in the protocol; where the editor has the other one, what
    the estimator reads on the photo lies between them. rounds: of the closed loop."""

    method: Editor
    estimator: Estimator
    scale: str
    rounds: int = 1
    _opened: dict[str, tuple[OpenPhoto, Tensor]] = field(default_factory=dict, repr=False)

    def __call__(self, rows: Sequence[Request]) -> Tensor:
        first = rows[0]
        if first.group == REFERENCE:
            return torch.cat([self.photo(row.source) for row in rows])
        opened, photo = self._open(first.source)
        shown = partial(self._shown, photo)

        def edit(aus: AUVector, scale: str) -> Tensor:
            return opened.edit(for_editor(self.method, aus, scale, shown), first.seed)

        if self.rounds == 1:
            return edit(requested(rows), self.scale)
        wanted = as_intensities(requested(rows), self.scale, shown)
        draw = partial(edit, scale="absolute")
        return closed_loop(draw, self.estimator, wanted, rounds=self.rounds).images

    def photo(self, file: str | Path) -> Tensor:
        """A photo [1, H, W, 3], at the size of an editor that draws it anew as a whole."""
        picture = read_picture(file)
        size = getattr(self.method, "size", None)
        return resized(picture, (size, size)) if size else picture

    def _open(self, file: str) -> tuple[OpenPhoto, Tensor]:
        """The photo, ready for edits. The last one is kept: rows of one photo follow each other."""
        if file not in self._opened:
            photo = self.photo(file)
            try:
                opened = self.method.open(photo)
            except ValueError as error:
                raise ValueError(f"{file}: {error}") from error
            self._opened.clear()
            self._opened[file] = opened, photo
        return self._opened[file]

    def _shown(self, photo: Tensor) -> AUVector:
        """The photo's AUs that the method knows; none of a face that is not found. Where the loop
        corrects, which takes both sides as one, their mean: no face is quite symmetric."""
        (face,) = read_set(self.estimator, photo).surest()
        if face is None:
            LOGGER.warning("%s finds no face in a photo: it counts as relaxed", self.estimator.name)
            return AUVector.zeros(self.method.units)
        seen = face.aus.select(self.method.units, strict=False)
        return seen if self.rounds == 1 else AUVector(seen.units, seen.values)

    def references(self, rows: Sequence[Request], references: Tensor) -> Tensor:
        """What the pictures of rows are compared with: the photo that shows what was asked for
        where there is one, as in AUEditNet, else the given ones [N, H, W, 3]."""
        if not any(row.target for row in rows):
            return references
        size = tuple(references.shape[1:3])
        pairs = zip(rows, references, strict=True)
        found = [resized(self.photo(r.target), size) if r.target else old[None] for r, old in pairs]
        return torch.cat(found)


def requested(rows: Sequence[Request]) -> AUVector:
    """What rows ask for, an AU vector each."""
    return AUVector.stack([AUVector.from_dict(row.requested) for row in rows])
