"""Reads the labelled renders that au_adapter.data.rendering wrote."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ..facs import SET_A


@dataclass(frozen=True)
class RenderedSet:
    """N renders in memory; K columns of AU values as units names them.

    images uint8 [N, H, W, 3]; masks uint8 [N, H, W]; aus, left, right float32 [N, K] in 0..5;
    boxes float32 [N, 4 parts, x0 y0 x1 y1] in pixels, parts as box_names; landmarks [N, 68, 2].
    """

    images: np.ndarray
    masks: np.ndarray
    aus: np.ndarray
    left: np.ndarray
    right: np.ndarray
    units: tuple[int, ...]
    captions: list[str]
    boxes: np.ndarray
    box_names: tuple[str, ...]
    landmarks: np.ndarray
    identity: np.ndarray
    labels: list[dict]

    def __len__(self) -> int:
        return len(self.images)


def iterate(folder: str | Path) -> Iterator[dict]:
    """Yield {"image": uint8 [H, W, 3], "mask": uint8 [H, W], "label": dict} in order.

    Raises FileNotFoundError when the folder holds no shard.
    """
    for shard in shards_of(folder):
        yield from iterate_shard(shard)


def shards_of(folder: str | Path) -> list[Path]:
    """The finished shards of a folder, in order; an unfinished one does not have its name yet.

    Raises FileNotFoundError when the folder holds none.
    """
    shards = sorted(Path(folder).glob("shard-*.tar"))
    if not shards:
        raise FileNotFoundError(
            f"no shard-*.tar in {folder}: render some with `au-adapter render`, or name the "
            "folder they were written to"
        )
    return shards


def iterate_shard(path: Path) -> Iterator[dict]:
    """Yield the renders of one shard; see `iterate`."""
    parts: dict[str, bytes] = {}
    with tarfile.open(path) as tar:
        for entry in tar:
            _, _, kind = entry.name.partition(".")
            parts[kind] = tar.extractfile(entry).read()
            if len(parts) == 3:
                yield {
                    "image": _picture(parts["png"]),
                    "mask": _picture(parts["mask.png"]),
                    "label": json.loads(parts["json"]),
                }
                parts = {}


def _picture(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)))


def load(
    folder: str | Path, limit: int | None = None, units: tuple[int, ...] = SET_A
) -> RenderedSet:
    """The renders of a folder, at most limit of them, with the named units as columns."""
    samples = []
    for sample in iterate(folder):
        if limit is not None and len(samples) >= limit:
            break
        samples.append(sample)
    labels = [sample["label"] for sample in samples]
    names = tuple(labels[0]["boxes"]) if labels else ()
    return RenderedSet(
        images=np.stack([sample["image"] for sample in samples]),
        masks=np.stack([sample["mask"] for sample in samples]),
        aus=_values(labels, "units", units),
        left=_values(labels, "left", units),
        right=_values(labels, "right", units),
        units=tuple(units),
        captions=[label["caption"] for label in labels],
        boxes=np.array([[label["boxes"][n] for n in names] for label in labels], np.float32),
        box_names=names,
        landmarks=np.array([label["landmarks"] for label in labels], np.float32),
        identity=np.array([label["identity"] for label in labels]),
        labels=labels,
    )


def _values(labels: list[dict], name: str, units: tuple[int, ...]) -> np.ndarray:
    rows = [[label[name].get(str(unit), 0.0) for unit in units] for label in labels]
    return np.array(rows, np.float32).reshape(len(labels), len(units))
