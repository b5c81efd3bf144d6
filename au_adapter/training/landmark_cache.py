"""What the face landmarker sees in folders of renders, read once and kept beside them."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor

from ..data.rendered import iterate_shard
from ..data.rendering.head import coded
from ..data.shards import find_shards
from ..disk import damage_named
from ..faces import FaceLandmarker
from ..faces.blendshapes import BLENDSHAPE_NAMES
from ..weights.downloads import sha256
from ..weights.tensors import write_tensors

LOGGER = logging.getLogger("au_adapter")
BATCH = 16
KEPT = ("identity", "left", "right", "pose", "appearance")  # of a render's label


@dataclass(frozen=True)
class LandmarkedSet:
    """N renders in which the landmarker found a face, of `pictures` looked at.

    points [N, 478, 3] in pixels, see faces.Face; blendshapes [N, 52], by BLENDSHAPE_NAMES;
    labels: what was rendered, see data.rendering.dataset.render_label.
    """

    points: Tensor
    blendshapes: Tensor
    labels: list[dict]
    pictures: int

    def __len__(self) -> int:
        return len(self.points)

    def aus(self, side: str, units: tuple[int, ...]) -> Tensor:
        """Intensities float32 [N, len(units)] of a side, "left" or "right", 0..5, as FACS codes
        the picture; see data.rendering.head.coded."""
        sides = [coded(label[side]) for label in self.labels]
        rows = [[values.get(str(unit), 0.0) for unit in units] for values in sides]
        return torch.tensor(rows).reshape(len(self), len(units))

    def identities(self) -> Tensor:
        """The number of each render's person, int64 [N]."""
        return torch.tensor([label["identity"] for label in self.labels], dtype=torch.long)


def read_renders(folders: list[Path], landmarker: str | Path) -> LandmarkedSet:
    """Read every shard of the folders with the landmarker in that file.

    What was read is kept in <folder>/cache/, shard by shard, so a run that was cut goes on.
    Raises FileNotFoundError for a folder without shards, ValueError where no face is found at all.
    """
    key, network = sha256(landmarker)[:8], None
    parts = []
    for shard in (shard for folder in folders for shard in find_shards(folder)):
        name = f"landmarks-{shard.stem}-{shard.stat().st_size}-{key}.safetensors"
        path = shard.parent / "cache" / name
        if not path.exists():
            network = network or FaceLandmarker(landmarker)
            seen = _read_shard(shard, network)
            about = {"labels": json.dumps(seen.labels), "pictures": str(seen.pictures)}
            write_tensors(path, {"points": seen.points, "blendshapes": seen.blendshapes}, about)
            LOGGER.info("read the faces of %s", shard)
        with damage_named(path, "Delete it, and it is made again"):
            with safe_open(path, framework="pt") as file:
                points, scores = file.get_tensor("points"), file.get_tensor("blendshapes")
                told = file.metadata()
            labels, pictures = json.loads(told["labels"]), int(told["pictures"])
        parts.append(LandmarkedSet(points, scores, labels, pictures))
    found = LandmarkedSet(
        torch.cat([part.points for part in parts]),
        torch.cat([part.blendshapes for part in parts]),
        [label for part in parts for label in part.labels],
        sum(part.pictures for part in parts),
    )
    if not len(found):
        raise ValueError(
            f"No face was found in {found.pictures} renders of {', '.join(map(str, folders))}: "
            "render larger ones, with --size 128 or more"
        )
    return found


def _read_shard(shard: Path, landmarker: FaceLandmarker) -> LandmarkedSet:
    samples = list(iterate_shard(shard))
    faces, labels = [], []
    for start in range(0, len(samples), BATCH):
        chosen = samples[start : start + BATCH]
        images = np.stack([sample["image"] for sample in chosen]).astype(np.float32) / 255
        found = landmarker.detect(torch.from_numpy(images), maximum_faces=1)
        for sample, face in zip(chosen, found, strict=True):
            faces += face
            labels += [{name: sample["label"][name] for name in KEPT}] * len(face)
    return LandmarkedSet(
        torch.stack([face.points for face in faces]) if faces else torch.empty(0, 478, 3),
        torch.tensor(
            [[face.blendshapes[name] for name in BLENDSHAPE_NAMES] for face in faces]
        ).reshape(-1, len(BLENDSHAPE_NAMES)),
        labels,
        len(samples),
    )
