"""The house format of labelled faces: tar shards in WebDataset's layout.

    shard-00000.tar:  KEY.jpg (or .png, .webp)   KEY.json   and what else belongs to KEY

KEY ends at the first dot of a file's name and holds the folder before it; the files of a face stand
one after another. The JSON is the label: "units", "left" and "right" map AU numbers as text to 0..5
(the sides are the subject's, units is their mean), "caption" is text; renders have more beside.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from ..disk import replacing
from ..facs import AUVector
from .pictures import read_rgb

PICTURES = ("png", "jpg", "jpeg", "webp", "bmp")
PATTERN = "shard-*.tar"
VALUES = ("units", "left", "right")  # what a label says of a face's AUs
LARGEST_FILE = 256 * 2**20  # bytes of one file in a shard; far more than any picture's
COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd"}


def shard_path(folder: str | Path, number: int) -> Path:
    """Where shard `number` of a folder lies."""
    return Path(folder) / f"shard-{number:05d}.tar"


def find_shards(folder: str | Path) -> list[Path]:
    """The finished shards of a folder in order. FileNotFoundError where it holds none."""
    shards = sorted(Path(folder).glob(PATTERN))
    if not shards:
        raise FileNotFoundError(
            f"no {PATTERN} in {folder}: make some with `au-adapter render` or `au-adapter "
            "prepare`, or name the folder they were written to"
        )
    return shards


def read_shard(path: Path, only: str | None = None) -> Iterator[dict[str, bytes]]:
    """Yield the files of each face by their kind ("jpg", "mask.png", "json"; "key" is the key).

    only: the kind that is read; the others are empty, and passed over on the disk. One face is in
    memory at a time. Raises ValueError for a shard that is cut off, damaged or compressed, or holds
    a file with holes or of more than LARGEST_FILE: a small file is never much in memory.
    """
    parts: dict[str, bytes] = {}
    with _opened(path) as tar:
        for key, kind, entry in _files(tar, path):
            if parts and parts["key"] != key:
                yield parts
                parts = {}
            parts["key"] = key
            parts[kind] = tar.extractfile(entry).read() if only in (None, kind) else b""
    if parts:
        yield parts


def count_faces(path: Path) -> int:
    """How many faces a shard holds, from the headers alone. ValueError as `read_shard`."""
    with _opened(path) as tar:
        return len({key for key, _, _ in _files(tar, path)})


def _files(tar: tarfile.TarFile, path: Path) -> Iterator[tuple[bytes, str, tarfile.TarInfo]]:
    """Key, kind and header of each file, told apart as WebDataset does: folders, hidden files and
    names without an ending belong to no face, and a kind is in small letters."""
    for entry in tar:
        folder, slash, name = entry.name.rpartition("/")
        stem, _, kind = name.partition(".")
        if entry.isfile() and stem and kind:
            if entry.issparse() or entry.size > LARGEST_FILE:
                how = "has holes" if entry.issparse() else f"is of {entry.size:,} bytes"
                raise ValueError(
                    f"{path} holds {entry.name!r}, which {how}: a shard holds whole files of at "
                    f"most {LARGEST_FILE:,} bytes. Make it again, with tar and no option --sparse"
                )
            key = f"{folder}{slash}{stem}".encode("utf-8", "surrogateescape")
            yield key, kind.lower(), entry


@contextmanager
def _opened(path: Path) -> Iterator[tarfile.TarFile]:
    """The archive; what cannot be read is a ValueError that names it."""
    try:
        with tarfile.open(path, "r:") as tar:
            yield tar
    except (tarfile.TarError, EOFError, OverflowError) as error:
        with path.open("rb") as file:
            start = file.read(6)
        if kind := next((k for mark, k in COMPRESSED.items() if start.startswith(mark)), None):
            raise ValueError(f"{path} is compressed by {kind}: unpack it first") from error
        raise ValueError(
            f"{path} is damaged or cut off ({error}): delete it and make it again"
        ) from error


def key_of(parts: Mapping[str, bytes]) -> str:
    """The name of a face, for messages."""
    return parts["key"].decode(errors="replace")


def picture_of(parts: Mapping[str, bytes], shard: object = "a shard") -> bytes:
    """The picture's file among the parts of a face; ValueError, naming both, without one."""
    for kind in PICTURES:
        if kind in parts:
            return parts[kind]
    raise ValueError(
        f"face {key_of(parts)} of {shard} has no picture, only {_kinds(parts)}; a shard holds one "
        f"of {', '.join(PICTURES)} for each"
    )


def label_of(parts: Mapping[str, bytes], shard: str | Path) -> dict:
    """The label among the parts of a face; ValueError, naming shard and face, where it is none."""
    try:
        label = json.loads(parts.get("json", b"{}"))
    except (ValueError, RecursionError):  # neither JSON nor text
        label = {}
    told = label if isinstance(label, dict) else {}
    wrong = [name for name in VALUES if not _are_intensities(told.get(name))]
    wrong += [] if isinstance(told.get("caption"), str) else ["caption"]
    if wrong:
        found = f"no json, only {_kinds(parts)}"
        if "json" in parts:
            found = f"a json in which {', '.join(wrong)} is missing or something else"
        raise ValueError(
            f"face {key_of(parts)} of {shard} has {found}. Next to its picture a shard "
            'holds KEY.json, with "units", "left" and "right" (AU number -> 0..5) and "caption"; '
            "tar --sort=name puts them next to one another. `au-adapter prepare` makes such shards "
            "of pictures and a table"
        )
    return label


def _are_intensities(found: object) -> bool:
    return isinstance(found, dict) and all(
        unit.isdecimal() and len(unit) < 3 and isinstance(value, (int, float)) and abs(value) < 1e6
        for unit, value in found.items()
    )


def _kinds(parts: Mapping[str, bytes]) -> str:
    return ", ".join(sorted(parts.keys() - {"key", "shard"}))


def decode_picture(
    content: bytes, size: int | None = None, name: object = "a picture"
) -> np.ndarray:
    """A picture's file as uint8 [H, W, 3], upright; squashed to a square of `size` where given.
    PictureError, which begins with the name, where it cannot be read."""
    picture = read_rgb(content, name)
    if size is not None and picture.size != (size, size):
        picture = picture.resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(picture)


def label_values(labels: Sequence[Mapping], name: str, units: Sequence[int]) -> np.ndarray:
    """float32 [N, K] of "units", "left" or "right" in N labels; an AU not named there is 0."""
    rows = [[label[name].get(str(unit), 0.0) for unit in units] for label in labels]
    return np.array(rows, np.float32).reshape(len(labels), len(units))


def make_label(
    aus: Mapping[str, float], caption: str, about: Mapping[str, object] | None = None
) -> dict:
    """The label of a face whose AUs are given by code, such as {"12": 3.0, "L4": 1.0}.

    about: what else the label says; it cannot replace AUs or caption.
    """
    vector = AUVector.from_dict(aus)
    left, right = vector.sides()
    columns = {"units": vector.values, "left": left, "right": right}
    return {
        **(about or {}),
        "caption": caption,
        **{
            name: {str(u): round(float(v), 4) for u, v in zip(vector.units, row[0], strict=True)}
            for name, row in columns.items()
        },
    }


@contextmanager
def new_shard(path: Path) -> Iterator[Callable[[str, bytes], None]]:
    """A function that adds a file of this name and content to the shard.

    The shard's name appears only when it is complete, and half a shard never stays.
    """

    def add(name: str, content: bytes) -> None:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))

    with replacing(path) as partial, tarfile.open(partial, "w") as tar:
        yield add


def write_shard(path: Path, faces: Iterable[tuple]) -> int:
    """Write (key, kind of picture, its content, label) of each face, and its mask in PNG where the
    tuple has a fifth part; returns their number."""
    count = 0
    with new_shard(path) as add:
        for key, kind, picture, label, *masks in faces:
            add(f"{key}.{kind}", picture)
            add(f"{key}.json", json.dumps({"key": key, **label}).encode())
            for mask in masks:
                add(f"{key}.mask.png", mask)
            count += 1
    return count
