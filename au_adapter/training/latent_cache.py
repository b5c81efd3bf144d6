"""What a base's autoencoder makes of streamed pictures: encoded once, kept on a disk.

Encoding is more than a third of a step on Stable Diffusion, and a frozen autoencoder makes the same
of a picture each time.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from ..bases import BaseFamily
from ..data.stream import StreamedBatch, StreamedFace
from ..disk import damage_named
from ..weights.tensors import write_tensors
from .face_tensors import network_digest

NAME = "distribution"


class LatentCache:
    """Distributions of latents, see `BaseFamily.encode_distribution`, in a file for each face.

    Autoencoder, size, and each shard's name, size and time tell whose they are: where one of these
    changes, faces are encoded anew.
    """

    def __init__(self, folder: str | Path, family: BaseFamily, vae: nn.Module, side: int):
        """folder: of the user's; 128 KB a face of 512 pixels. side: of the pictures, in pixels."""
        self.folder = Path(folder) / f"{network_digest(vae)}-{side}"
        self.family, self.vae = family, vae
        self.shards: dict[Path, Path] = {}  # the folder of each

    def holds(self, face: StreamedFace) -> bool:
        """Whether a face need not be encoded any more."""
        return self._path(face).exists()

    def distributions(self, batch: StreamedBatch) -> Tensor:
        """Those of a batch, float32 [n, 2 C, H, W]. ValueError for a damaged file,
        FileNotFoundError for one that went after the batch was read."""
        missing = [row for row, known in enumerate(batch.known) if not known]
        if missing:
            made = self._encode(torch.from_numpy(batch.pictures[missing]))
            for row, distribution in zip(missing, made, strict=True):
                write_tensors(self._path(batch.faces[row]), {NAME: distribution})
        return torch.stack([self._read(self._path(face)) for face in batch.faces])

    @torch.no_grad()
    def _encode(self, pictures: Tensor) -> Tensor:
        """In float32, whatever the training's precision."""
        device = next(self.vae.parameters()).device
        return self.family.encode_distribution(self.vae, pictures.to(device)).cpu()

    def _read(self, path: Path) -> Tensor:
        with damage_named(path, "Delete it, and it is made again"):
            return load_file(path)[NAME]

    def _path(self, face: StreamedFace) -> Path:
        if face.shard not in self.shards:
            found = face.shard.stat()
            name = f"{face.shard.parent.name}-{face.shard.stem}-{found.st_size}-{found.st_mtime_ns}"
            self.shards[face.shard] = self.folder / name
        return self.shards[face.shard] / f"{face.number:06d}.safetensors"
