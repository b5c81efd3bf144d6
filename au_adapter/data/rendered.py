"""Reads the labelled renders that au_adapter.data.rendering wrote."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np

from ..disk import damage_named
from ..facs import SET_A
from ..weights.downloads import cache_folder
from . import shards
from .pictures import opened_picture

# 240 renders that come with the library.
SAMPLE = Path(__file__).parent / "samples" / "rendered"


@dataclass(frozen=True)
class RenderedSet:
    """N renders in memory; K columns of AU values as units names them.

    images uint8 [N, H, W, 3]; masks uint8 [N, H, W]; aus, left, right float32 [N, K] in 0..5;
    boxes float32 [N, 4 parts, x0 y0 x1 y1] in pixels, parts as box_names; landmarks [N, 68, 2], of
    faces cut out of photos [N, 0].
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


def find_renders() -> Path:
    """Renders to train on where none are named: those in the downloads' folder `rendered`, else the
    sample that comes with the library.

    Raises FileNotFoundError, saying how to make some, where there are neither.
    """
    for folder in (cache_folder("rendered"), SAMPLE):
        if any(folder.glob(shards.PATTERN)):
            return folder
    raise FileNotFoundError(
        "There are no rendered faces yet: `--data rendered:4000` makes so many, once `au-adapter "
        "download ict-facekit` has fetched the face model"
    )


def is_rendered(folder: str | Path) -> bool:
    """Whether the shards of a folder hold renders, with their masks, and not other faces."""
    return "mask.png" in next(shards.read_shard(shards.find_shards(folder)[0]), {})


def iterate(folder: str | Path) -> Iterator[dict]:
    """Yield {"image": uint8 [H, W, 3], "mask": uint8 [H, W], "label": dict} in order.
    FileNotFoundError without shards, ValueError for faces without a mask: not rendered ones."""
    for shard in shards.find_shards(folder):
        yield from iterate_shard(shard)


def iterate_shard(shard: Path) -> Iterator[dict]:
    """Yield the renders of one shard; see `iterate`."""
    for parts in shards.read_shard(shard):
        name = f"face {shards.key_of(parts)} of {shard}"
        if "mask.png" not in parts:
            raise ValueError(
                f"{name} has no mask.png: it was not rendered "
                "here. Recipes that read any labelled faces take it (stream=true)"
            )
        with opened_picture(parts["mask.png"], f"the mask of {name}") as mask:
            pixels = np.asarray(mask)
        yield {
            "image": shards.decode_picture(shards.picture_of(parts, shard), name=name),
            "mask": pixels,
            "label": shards.label_of(parts, shard),
        }


def load(
    folder: str | Path, limit: int | None = None, units: tuple[int, ...] = SET_A
) -> RenderedSet:
    """The renders of a folder, at most limit of them, with the named units as columns."""
    samples: list[dict] = []
    for shard in shards.find_shards(folder):
        for sample in islice(iterate_shard(shard), limit and limit - len(samples)):
            with damage_named(shard):
                _check(sample, samples)
            samples.append(sample)
    if not samples:
        raise ValueError(f"the shards of {folder} hold no face: make them again")
    return gather(samples, units)


def gather(samples: Sequence[dict], units: tuple[int, ...] = SET_A) -> RenderedSet:
    """Renders as `iterate` yields them, in one set."""
    labels = [sample["label"] for sample in samples]
    names = tuple(labels[0]["boxes"])
    return RenderedSet(
        images=np.stack([sample["image"] for sample in samples]),
        masks=np.stack([sample["mask"] for sample in samples]),
        aus=shards.label_values(labels, "units", units),
        left=shards.label_values(labels, "left", units),
        right=shards.label_values(labels, "right", units),
        units=tuple(units),
        captions=[label["caption"] for label in labels],
        boxes=np.array([[label["boxes"][n] for n in names] for label in labels], np.float32),
        box_names=names,
        landmarks=np.array([label["landmarks"] for label in labels], np.float32),
        identity=np.array([label["identity"] for label in labels]),
        labels=labels,
    )


def _check(sample: dict, others: list[dict]) -> None:
    """Whatever is wrong with a sample beside the first of the others is raised."""
    label, first = sample["label"], (others or [sample])[0]
    if label["landmarks"]:  # faces cut out of photos have none
        np.array(label["landmarks"], np.float32).reshape(68, 2)
    boxes = np.array([label["boxes"][name] for name in first["label"]["boxes"]], np.float32)
    boxes.reshape(-1, 4), np.array([label["identity"]], np.int64)
    shapes = [each[name].shape for each in (sample, first) for name in ("image", "mask")]
    if shapes[:2] != shapes[2:] or shapes[0][:2] != shapes[1]:
        raise ValueError(f"pictures and masks are of {shapes}, expected one size")


def mirrored(faces: RenderedSet) -> RenderedSet:
    """The same renders seen in a mirror: left and right change places in AUs and captions too.

    Landmarks and labels stay as they are, of the pictures that were mirrored.
    """
    side = faces.images.shape[2]
    x0, y0, x1, y1 = np.moveaxis(faces.boxes, -1, 0)
    return replace(
        faces,
        images=np.ascontiguousarray(faces.images[:, :, ::-1]),
        masks=np.ascontiguousarray(faces.masks[:, :, ::-1]),
        left=faces.right,
        right=faces.left,
        boxes=np.stack([side - x1, y0, side - x0, y1], -1),
        box_names=tuple(map(_other_side, faces.box_names)),
        captions=list(map(_other_side, faces.captions)),
    )


def _other_side(text: str) -> str:
    return re.sub(r"\b(left|right)", lambda side: {"left": "right", "right": "left"}[side[0]], text)
