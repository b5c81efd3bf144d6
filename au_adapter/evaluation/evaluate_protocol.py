"""Evaluate a method by a paper's protocol: make its pictures, read and compare them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from ..data.pictures import PictureFolder
from ..data.rendered import iterate
from ..data.request_tables import read_requests
from ..disk import replacing
from ..estimators import Estimator
from ..facs import SET_A, AUVector
from ..methods import open_editor, open_generator
from .comparison import Comparison
from .evaluate_folder import contents, measured_by
from .method_pictures import PhotoPictures, PromptPictures
from .protocol_run import run_protocol
from .protocols import Frame, Protocol, load_protocol
from .records import Request

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
    limit: a trial of so many pictures. rounds: of the closed loop.
    """
    protocol = load_protocol(
        what, photos=PictureFolder(photos).files if photos else [], frames=_frames(frames, output)
    )
    protocol = limited(protocol, limit)
    pictures = _pictures(protocol, method, options, reader, rounds)
    settings = {**pictures.method.settings(), "rounds": rounds}
    if protocol.references[0].source:
        settings["photos"] = contents(protocol)

    about = measured_by(protocol, compare, reader)
    plain = getattr(pictures.method, "plain", None) if "clip_i" in compare.measures else None
    if plain:
        plain = lru_cache(1)(plain)
        about["networks"] = {**about["networks"], "clip_i_base": compare.networks["clip_i"]}

    def compared(images: Tensor, references: Tensor, rows: Sequence[Request]) -> dict[str, Tensor]:
        found = compare(images, pictures.references(rows, references))
        if plain:
            found |= compare.beside_base(images, plain(rows[0].prompt, rows[0].seed))
        return found

    run_protocol(
        protocol,
        pictures,
        reader.estimate,
        output,
        compare=compared,
        method=pictures.method.name + (", closed loop" if rounds > 1 else ""),
        settings=settings,
        batch_size=getattr(pictures.method, "batch", BATCH),
        **about,
    )


def _pictures(
    protocol: Protocol,
    method: str | None,
    options: Mapping[str, Any],
    reader: Estimator,
    rounds: int,
) -> PromptPictures | PhotoPictures:
    if not protocol.references[0].source:
        return PromptPictures(open_generator(method or "au-adapter", **options), reader, rounds)
    editor = open_editor(method or "au-adapter-sdedit", **options)
    return PhotoPictures(editor, reader, protocol.scale, rounds)


def limited(protocol: Protocol, limit: int | None) -> Protocol:
    """`limit` of the rows, scattered over the protocol and in its order, with their references. The
    choice comes from hashes of their ids: it is the same every time, and a larger one contains a
    smaller one."""
    if limit is None or limit >= len(protocol.rows):
        return protocol

    def scattered(row: Request) -> str:
        return hashlib.sha256(row.id.encode()).hexdigest()

    chosen = {row.id for row in sorted(protocol.rows, key=scattered)[:limit]}
    rows = tuple(row for row in protocol.rows if row.id in chosen)
    used = {row.reference for row in rows}
    references = tuple(row for row in protocol.references if row.id in used)
    title = f"{protocol.title}: a trial of {limit} of its {len(protocol.rows)} pictures"
    return replace(protocol, rows=rows, references=references, title=title)


def _frames(source: Path | None, output: Path) -> list[Frame]:
    """Labelled photos: a CSV with the columns file, subject and aus, or a folder of renders, whose
    pictures are laid out beside the result."""
    if source is None:
        return []
    if source.is_dir():
        return _rendered_frames(source, output / "frames")
    return [
        Frame(str(source.parent / row.cells["file"]), row.cells["subject"], row.aus)
        for row in read_requests(source, ("file", "subject", "aus"))
    ]


def _rendered_frames(source: Path, folder: Path) -> list[Frame]:
    folder.mkdir(parents=True, exist_ok=True)
    frames = []
    for number, sample in enumerate(iterate(source)):
        path, label = folder / f"{number:05d}.png", sample["label"]
        if not path.is_file():
            with replacing(path) as partial:  # processes do this at once
                Image.fromarray(sample["image"]).save(partial, "PNG")
        frames.append(Frame(str(path), str(label["identity"]), _labels(label)))
    return frames


def _labels(label: Mapping[str, Any]) -> dict[str, float]:
    """The AUs of set A that a render shows, by side where the sides differ."""
    sides = [[[label[side].get(str(unit), 0.0) for unit in SET_A]] for side in ("left", "right")]
    left, right = map(torch.tensor, sides)
    return AUVector(SET_A, left, left, right).dict()
