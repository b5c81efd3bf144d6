"""Labelled faces aligned as a generator knows them, with who they are, and their codes in W+."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from ..data import shards
from ..data.references import most_relaxed
from ..data.rendered import RenderedSet, is_rendered, load
from ..faces import FACE_LANDMARKER, FaceLandmarker, locate
from ..faces.choose import in_order
from ..faces.ffhq_alignment import ffhq_quad
from ..faces.quads import cut_quad
from ..facs import SET_A
from ..models.siamese import resized
from ..weights.downloads import sha256
from ..weights.tensors import kept
from ..weights.wplus_files import Framing, WPlus

logger = logging.getLogger("au_adapter")
BATCH = 32
SETTLING = 256  # pictures that statistics are measured on
SUBJECT = "subject"  # of a label: who the person is
SCENE = "scene"  # of a render's label: pictures with one number differ in their AUs alone
UNKNOWN = ""


@dataclass(frozen=True)
class AlignedFaces:
    """N faces. images: uint8 [N, S, S, 3]. aus: float32 [N, K], 0..5. subjects: who each is, ""
    where its label does not say."""

    images: Tensor
    aus: Tensor
    subjects: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.images)

    def pictures(self, rows: Tensor) -> Tensor:
        """Pictures [n, 3, S, S] in -1..1."""
        return self.images[rows].movedim(-1, 1).float() / 127.5 - 1


def load_aligned(
    folders: Sequence[Path],
    size: int,
    framing: Framing,
    units: tuple[int, ...] = SET_A,
    landmarker: str | Path | None = None,
) -> AlignedFaces:
    """The faces of folders of shards, `size` pixels a side.

    Renders know their points; in other faces Google's landmarker finds them, once, which takes
    landmarker or where `faces.locate` looks. A picture without a face is left out, and the log says
    how many were. FileNotFoundError without shards or landmarker, ValueError where no face is left.
    """
    parts = []
    for folder in map(Path, folders):
        if is_rendered(folder):
            parts.append(_rendered(folder, size, framing, units))
        else:
            parts.append(_found(folder, size, framing, units, locate(FACE_LANDMARKER, landmarker)))
    return AlignedFaces(
        torch.cat([part.images for part in parts]),
        torch.cat([part.aus for part in parts]),
        tuple(name for part in parts for name in part.subjects),
    )


def _rendered(folder: Path, size: int, framing: Framing, units: tuple[int, ...]) -> AlignedFaces:
    faces = load(folder, units=units)
    pairs = zip(faces.images, quads_of_renders(faces, framing), strict=True)
    images = [_cut(image, quad, size) for image, quad in pairs]
    names = tuple(f"rendered {number}" for number in faces.identity.tolist())
    return AlignedFaces(torch.stack(images), torch.from_numpy(faces.aus), names)


def quads_of_renders(faces: RenderedSet, framing: Framing) -> list[Tensor]:
    """Where each render is cut out: the corners [4, 2] of its square."""
    quads = [ffhq_quad(points, framing) for points in torch.from_numpy(faces.landmarks)]
    return [quads[row] for row in still_rows(faces.labels, faces.aus)]


def still_rows(labels: Sequence[Mapping], aus: np.ndarray) -> list[int]:
    """For each row the row whose place the picture is cut out at: of one scene, that of the most
    relaxed face, so that the square does not move with the mouth; else the row itself."""
    scenes = [label.get(SCENE) for label in labels]
    best = most_relaxed(scenes, np.abs(aus).sum(1))
    return [row if scene is None else best[scene] for row, scene in enumerate(scenes)]


def _found(
    folder: Path, size: int, framing: Framing, units: tuple[int, ...], landmarker: Path
) -> AlignedFaces:
    """Faces that the landmarker finds; what was found is kept in <folder>/cache, shard by shard."""
    name = hashlib.sha256(f"{size} {framing} {sha256(landmarker)}".encode()).hexdigest()[:12]
    images, labels, network = [], [], cache(lambda: FaceLandmarker(landmarker))
    for shard in shards.find_shards(folder):
        rows = list(shards.read_shard(shard))
        path = folder / "cache" / f"aligned-{shard.stem}-{shard.stat().st_size}-{name}.safetensors"
        found = kept(path, lambda rows=rows: _align(rows, network(), size, framing))
        images.append(found["images"])
        labels += [shards.label_of(rows[row], shard) for row in found["rows"].tolist()]
        if lost := len(rows) - len(found["rows"]):
            logger.warning("%d of %d pictures of %s show no face", lost, len(rows), shard)
    if not labels:
        raise ValueError(
            f"no face was found in the pictures of {folder}: are they photos of faces?"
        )
    subjects = tuple(str(label.get(SUBJECT, UNKNOWN)) for label in labels)
    aus = torch.from_numpy(shards.label_values(labels, "units", units))
    return AlignedFaces(torch.cat(images), aus, subjects)


def _align(
    rows: list[dict[str, bytes]], network: FaceLandmarker, size: int, framing: Framing
) -> dict[str, Tensor]:
    """Aligned "images" uint8 [n, S, S, 3], and the "rows" [n] that showed a face."""
    images, chosen = [], []
    for row, parts in enumerate(rows):
        name = f"face {shards.key_of(parts)}"
        picture = shards.decode_picture(shards.picture_of(parts), name=name)
        (faces,) = network.detect(torch.from_numpy(picture.copy())[None].float() / 255)
        if faces:
            largest = in_order(faces, "largest first")[0]
            images.append(_cut(picture, ffhq_quad(largest.points, framing), size))
            chosen.append(row)
    whole = torch.stack(images) if images else torch.empty(0, size, size, 3, dtype=torch.uint8)
    return {"images": whole, "rows": torch.tensor(chosen, dtype=torch.long)}


def _cut(image: np.ndarray, quad: Tensor, size: int) -> Tensor:
    cut = cut_quad(torch.from_numpy(image.copy()).float() / 255, quad, size)
    return (cut * 255).round().byte()


def cached_codes(faces: AlignedFaces, wplus: WPlus, folder: Path) -> Tensor:
    """Codes float32 [N, M, S] of the faces, inverted once for each encoder and set of faces."""
    digest = hashlib.sha256(faces.images.numpy().tobytes())
    for name, tensor in {**wplus.encoder.state_dict(), "mean": wplus.mean}.items():
        digest.update(name.encode())
        digest.update(tensor.numpy().tobytes())
    path = Path(folder) / f"codes-{digest.hexdigest()[:16]}.safetensors"
    rows = torch.arange(len(faces)).split(BATCH)
    codes = (wplus.invert(faces.pictures(part)) for part in rows)
    return kept(path, lambda: {"codes": torch.cat([*codes])}, "codes")["codes"]


class SubjectRows:
    """Draws rows of one person, and of somebody else. ValueError, saying what is missing, unless
    two people are known and one of them has two pictures."""

    def __init__(self, faces: AlignedFaces):
        self.names = names = faces.subjects
        if UNKNOWN in names:
            raise ValueError(
                f"{names.count(UNKNOWN)} of {len(names)} faces do not say who they are, and pairs "
                f'of one person are needed: their labels need "{SUBJECT}", which DISFA\'s, renders '
                "and JSON lines with it have"
            )
        people = {name: number for number, name in enumerate(dict.fromkeys(names))}
        numbers = torch.tensor([people[name] for name in names])
        self.count = len(names)
        self.order = numbers.argsort(stable=True)  # person after person
        sizes = numbers.bincount()
        if len(sizes) < 2 or sizes.max() < 2:
            raise ValueError(
                f"{len(names)} pictures of {len(sizes)} people: pairs of one person and a picture "
                "of another are needed, so take two people or more, with several pictures each"
            )
        self.sizes = sizes[numbers]  # of each row's person
        self.starts = (sizes.cumsum(0) - sizes)[numbers]
        self.place = torch.empty(self.count, dtype=torch.long)
        self.place[self.order] = torch.arange(self.count)
        self.paired = (self.sizes > 1).nonzero().flatten()

    def draw(self, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Rows [size] of a person, of another picture of the person, and of somebody else."""
        share = torch.rand(3, size, generator=generator)
        source = self.paired[(share[0] * len(self.paired)).long()]
        start, count = self.starts[source], self.sizes[source]
        step = 1 + (share[1] * (count - 1)).long()
        target = self.order[start + (self.place[source] - start + step) % count]
        beyond = (share[2] * (self.count - count)).long()
        return source, target, self.order[torch.where(beyond < start, beyond, beyond + count)]

    def most_neutral(self, aus: Tensor) -> Tensor:
        """For each row the row [N] of the same person with the least sum of AUs [N, K]."""
        best = most_relaxed(self.names, aus.abs().sum(1).tolist())
        return torch.tensor([best[name] for name in self.names])


def settle_statistics(network: nn.Module, faces: AlignedFaces, size: int) -> None:
    """Measure anew what batch normalisation takes for mean and variance: averaged weights have
    others than those of training, and a run that was resumed has lost them. size: of its
    pictures."""
    rows = torch.arange(0, len(faces), max(1, len(faces) // SETTLING)).split(BATCH)
    device = next(network.parameters()).device
    batches = (resized(faces.pictures(part), size).to(device) for part in rows)
    update_bn(batches, network)


def augmented(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Pictures [N, 3, S, S] in -1..1, each brighter or darker and of another contrast and tint."""
    gain = 0.85 + 0.3 * torch.rand(len(pictures), 3, 1, 1, generator=generator)
    shift = 0.2 * (torch.rand(len(pictures), 1, 1, 1, generator=generator) - 0.5)
    return (pictures * gain + shift).clamp(-1, 1)
