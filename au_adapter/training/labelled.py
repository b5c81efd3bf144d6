"""Labelled faces as a recipe draws them: renders with cached latents, or a stream of pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..data.rendered import RenderedSet
from ..data.shards import label_values
from ..data.stream import FaceStream, StreamedBatch, nothing_known
from ..models.autoencoder import DemoAutoencoder
from .diffusion import draw_noise
from .face_tensors import cached_latents, part_weights
from .latent_cache import LatentCache
from .recipe import Share

Tokenize = Callable[[Sequence[str]], Tensor]  # captions -> token ids, a row each; see `bases`


@dataclass
class Drawn:
    """One process's rows of a step: captions, empty where dropped by chance, AUs [n, K] as
    labelled, with sides [n, 2 K], and the tensors that the loss reads."""

    captions: list[str]
    aus: Tensor
    batch: dict[str, Tensor]


class RenderedLatents:
    """Renders in memory, encoded once; for the bundled model and its small pictures."""

    def __init__(
        self,
        sets: Sequence[RenderedSet],
        autoencoder: DemoAutoencoder,
        tokenize: Tokenize,
        part_weight: float,
        cache: Path,
        sides: bool = False,
    ):
        """part_weight: see `part_weights`. cache: the folder that keeps latents. sides: the left of
        every AU is drawn, then the right."""
        columns = [(f.left, f.right) if sides else (f.aus,) for f in sets]
        self.aus = torch.cat([torch.from_numpy(np.concatenate(c, axis=1)) for c in columns])
        self.captions = [caption for faces in sets for caption in faces.captions]
        self.latents = torch.cat([cached_latents(faces, autoencoder, cache) for faces in sets])
        self.tokens, self.empty = tokenize(self.captions), tokenize([""])
        cells = self.latents.shape[-1]
        weights = [part_weights(f.boxes, f.images.shape[1], cells, part_weight) for f in sets]
        self.weights = torch.cat(weights)

    def draw(self, size: int, generator: torch.Generator, dropout: float, share: Share) -> Drawn:
        rows = torch.randint(len(self.latents), (size,), generator=generator)
        noise, timesteps = draw_noise(self.latents[rows].shape, generator)
        dropped = share.of(torch.rand(size, 1, generator=generator) < dropout)
        rows = share.of(rows)
        captions = [
            "" if gone else self.captions[row]
            for row, (gone,) in zip(rows.tolist(), dropped.tolist(), strict=True)
        ]
        batch = {
            "latents": self.latents[rows],
            "noise": share.of(noise),
            "timesteps": share.of(timesteps),
            "tokens": torch.where(dropped, self.empty, self.tokens[rows]),
            "weights": self.weights[rows],
        }
        return Drawn(captions, self.aus[rows], batch)


class StreamedPictures:
    """Faces of any number from tar shards, each process reading its own; encoded at every step, or
    once where a cache keeps that.

    side: of the pictures, in pixels. shape: (channels, rows, columns) of their latents. All parts
    of a face weigh the same.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        tokenize: Tokenize,
        side: int,
        shape: tuple[int, int, int],
        units: tuple[int, ...],
        lanes: int,
        buffer: int,
        sides: bool = False,
        cache: LatentCache | None = None,
    ):
        self.tokenize, self.shape, self.units, self.sides = tokenize, shape, units, sides
        self.cache = cache
        # run.train seeds torch with the run's seed before a recipe is made.
        seed, known = torch.initial_seed(), cache.holds if cache else nothing_known
        self.stream = FaceStream(folders, side, seed, lanes, buffer, known)

    def draw(self, size: int, generator: torch.Generator, dropout: float, share: Share) -> Drawn:
        faces = self.stream.read(share.step, size, share.index, share.count)
        labels = faces.labels
        noise, timesteps = draw_noise((size, *self.shape), generator)
        latent_noise = torch.randn(size, *self.shape, generator=generator)
        gone = share.of(torch.rand(size, generator=generator) < dropout).tolist()
        captions = ["" if g else label["caption"] for g, label in zip(gone, labels, strict=True)]
        batch = {
            **self._seen(faces),
            "latent_noise": share.of(latent_noise),
            "noise": share.of(noise),
            "timesteps": share.of(timesteps),
            "tokens": self.tokenize(captions),
            "weights": torch.ones(len(labels), 1, 1, 1),
        }
        names = ("left", "right") if self.sides else ("units",)
        aus = np.concatenate([label_values(labels, name, self.units) for name in names], axis=1)
        return Drawn(captions, torch.from_numpy(aus), batch)

    def _seen(self, faces: StreamedBatch) -> dict[str, Tensor]:
        if self.cache is None:
            return {"pictures": torch.from_numpy(faces.pictures)}
        return {"distributions": self.cache.distributions(faces)}
