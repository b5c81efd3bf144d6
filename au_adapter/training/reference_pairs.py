"""Pairs of one person for VQ-AUFace: a reference, a target, and a text of the target's AUs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..data import shards
from ..data.references import choose_references
from ..data.stream import FaceStream
from ..facs import AUVector, face_text
from ..models.vqauface import VQAUFaceConfig
from .face_tensors import to_unit_range
from .recipe import Share


@dataclass(frozen=True)
class Pairs:
    """References and targets uint8 [N, S, S, 3], and the targets' labels."""

    references: np.ndarray
    targets: np.ndarray
    labels: list[dict[str, Any]]

    def pictures(self) -> tuple[Tensor, Tensor]:
        """References and targets [N, 3, S, S] in -1..1."""
        return tuple(
            to_unit_range(torch.from_numpy(part)) for part in (self.references, self.targets)
        )


class ReferencePairs:
    """Streams targets from shards; the references, one for each person, stay in memory.

    Labels need "identity". A label with "reference" true is the person's reference (as `prepare
    bp4d` writes it); for other people `choose_references` decides.
    """

    def __init__(self, folders: Sequence[Path], size: int, seed: int, lanes: int, buffer: int):
        """size: pixels of a side. ValueError for labels without identity."""
        self.stream = FaceStream(folders, size, seed, lanes, buffer)
        self.size = size
        self.references = self._read_references(folders)

    def read(self, step: int, size: int, share: Share | None = None) -> Pairs:
        """The share's rows of the batch of `size` pairs at a step."""
        share = share or Share()
        batch = self.stream.read(step, size, share.index, share.count)
        references = np.stack([self.references[str(label["identity"])] for label in batch.labels])
        return Pairs(references, batch.pictures, batch.labels)

    def _read_references(self, folders: Sequence[Path]) -> dict[str, np.ndarray]:
        marked: dict[str, str] = {}

        def faces() -> Iterator[tuple[str, str, Mapping[str, float]]]:
            for key, label in _labels(folders):
                person = str(label["identity"])
                if label.get("reference"):
                    marked[person] = key
                yield person, key, {**label["left"], **label["right"], **label["units"]}

        chosen = {**choose_references(faces()), **marked}
        wanted = set(chosen.values())
        pictures = {
            key: shards.decode_picture(shards.picture_of(parts), self.size, f"the reference {key}")
            for key, parts in _faces(folders)
            if key in wanted
        }
        return {person: pictures[key] for person, key in chosen.items()}


def text_of(label: Mapping[str, Any], config: VQAUFaceConfig, seed: int) -> str:
    """An AU text of a label. Labels that say only that an AU occurs have no words of intensity."""
    said = config.intensity_words and not label.get("occurrence")
    return face_text(aus_of(label, config), intensity_words=said, seed=seed).text


def aus_of(label: Mapping[str, Any], config: VQAUFaceConfig) -> AUVector:
    """The AUs of a label that a model is told: its units, and sides if it has them apart."""
    names = ("left", "right") if config.sides else ("units",)
    values = [torch.from_numpy(shards.label_values([label], name, config.units)) for name in names]
    return AUVector(config.units, values[0], *(values if config.sides else ()))


def _faces(folders: Sequence[Path], only: str | None = None) -> Iterator[tuple[str, dict]]:
    """Every face of some folders, under a key that no other has."""
    for folder in folders:
        for shard in shards.find_shards(folder):
            for parts in shards.read_shard(shard, only):
                parts["shard"] = str(shard).encode()
                yield f"{folder}/{shard.name}/{parts['key'].decode(errors='replace')}", parts


def _labels(folders: Sequence[Path]) -> Iterator[tuple[str, dict[str, Any]]]:
    for key, parts in _faces(folders, "json"):
        label = shards.label_of(parts, parts["shard"].decode())
        if "identity" not in label:
            raise ValueError(
                f"face {key} does not say whose it is: VQ-AUFace learns from pictures of one "
                'person, so labels need "identity", as `au-adapter prepare bp4d` and `au-adapter '
                "render` write it"
            )
        yield key, label
