"""The house format of labelled faces: tar shards in WebDataset's layout.

    shard-00000.tar:  KEY.jpg (or .png, .webp)   KEY.json   and what else belongs to KEY

The JSON is the label: "units", "left" and "right" map AU numbers as text to 0..5 (the sides are the
subject's, units is their mean), "caption" is text; more may stand beside, as in rendered faces.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from ..disk import replacing
from ..facs import AUVector

PICTURES = ("png", "jpg", "jpeg", "webp", "bmp")
PATTERN = "shard-*.tar"


def shard_path(folder: str | Path, number: int) -> Path:
    """Where shard `number` of a folder lies."""
    return Path(folder) / f"shard-{number:05d}.tar"


def find_shards(folder: str | Path) -> list[Path]:
    """The shards of a folder in order.

    Unfinished shards do not have their final name yet and are not found. Raises FileNotFoundError
    when the folder holds none.
    """
    shards = sorted(Path(folder).glob(PATTERN))
    if not shards:
        raise FileNotFoundError(
            f"no {PATTERN} in {folder}: make some with `au-adapter render` or `au-adapter "
            "prepare`, or name the folder they were written to"
        )
    return shards


def read_shard(path: Path) -> Iterator[dict[str, bytes]]:
    """Yield the files of each face by their kind ("jpg", "mask.png", "json"; "key" is the key).

    One face is in memory at a time. Raises ValueError for a shard that is cut off or damaged.
    """
    parts: dict[str, bytes] = {}
    with _whole(path), tarfile.open(path) as tar:
        for entry in tar:
            key, _, kind = entry.name.partition(".")
            if parts and parts["key"] != key.encode():
                yield parts
                parts = {}
            parts["key"] = key.encode()
            parts[kind] = tar.extractfile(entry).read()
    if parts:
        yield parts


def count_faces(path: Path) -> int:
    """How many faces a shard holds, from the headers alone. ValueError as `read_shard`."""
    with _whole(path), tarfile.open(path) as tar:
        return len({name.partition(".")[0] for name in tar.getnames()})


@contextmanager
def _whole(path: Path) -> Iterator[None]:
    """Say what a shard that cannot be read is."""
    try:
        yield
    except (tarfile.TarError, EOFError) as error:
        raise ValueError(
            f"{path} is damaged or cut off ({error}): delete it and make it again"
        ) from error


def picture_of(parts: Mapping[str, bytes]) -> bytes:
    """The picture's file among the parts of a face; ValueError where there is none."""
    for kind in PICTURES:
        if kind in parts:
            return parts[kind]
    raise ValueError(
        f"face {parts['key'].decode()} has no picture, only {', '.join(sorted(parts))}; "
        f"a shard holds one of {', '.join(PICTURES)} for each"
    )


def decode(content: bytes, size: int | None = None) -> np.ndarray:
    """A picture's file as uint8 [H, W, 3], upright; squashed to a square of `size` where given."""
    picture = ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("RGB")
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


def write_shard(path: Path, faces: Iterable[tuple[str, str, bytes, dict]]) -> int:
    """Write (key, kind of picture, its content, label) of each face; returns their number."""
    count = 0
    with new_shard(path) as add:
        for key, kind, picture, label in faces:
            add(f"{key}.{kind}", picture)
            add(f"{key}.json", json.dumps({"key": key, **label}).encode())
            count += 1
    return count
