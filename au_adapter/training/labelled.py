"""Labelled faces as a recipe draws them: renders with cached latents, or a stream of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from torch import Tensor
from transformers import CLIPTokenizer

from ..data.rendered import RenderedSet
from ..data.shards import label_values
from ..data.stream import FaceStream
from .bases import picture_size
from .diffusion import draw_noise
from .faces import CaptionedLatents, load_faces
from .recipe import Share


@dataclass
class Drawn:
    """One process's rows of a step: captions (empty where dropped), AUs [n, K] as labelled, with
    sides [n, 2 K], and the tensors that the loss reads."""

    captions: list[str]
    aus: Tensor
    batch: dict[str, Tensor]


class LabelledFaces(Protocol):
    """Where a recipe's examples come from."""

    def draw(self, size: int, generator: torch.Generator, dropout: float, share: Share) -> Drawn:
        """The share's rows of a batch of `size` faces; a caption is dropped by chance `dropout`."""


class RenderedLatents:
    """Renders in memory, encoded once; for the demo model and its small pictures."""

    def __init__(
        self,
        folders: Sequence[Path],
        pipeline: StableDiffusionPipeline,
        units: tuple[int, ...],
        part_weight: float,
        sides: bool = False,
    ):
        sets = load_faces(list(folders), units=units)
        self.aus = torch.cat([_columns(faces, sides) for faces in sets])
        self.captions = [caption for faces in sets for caption in faces.captions]
        self.faces = CaptionedLatents(
            sets,
            pipeline.vae.network,
            partial(tokenize, pipeline.tokenizer),
            part_weight,
            Path(folders[0]) / "cache",
        )

    def draw(self, size: int, generator: torch.Generator, dropout: float, share: Share) -> Drawn:
        rows, batch = self.faces.draw(size, generator, dropout)
        dropped = (batch["tokens"] == self.faces.empty).all(1)
        captions = [
            "" if gone else self.captions[row]
            for row, gone in zip(share.of(rows).tolist(), share.of(dropped).tolist(), strict=True)
        ]
        own = {name: share.of(tensor) for name, tensor in batch.items()}
        return Drawn(captions, share.of(self.aus[rows]), own)


class StreamedPictures:
    """Faces of any number from tar shards, each process reading its own; encoded at every step.

    All parts of a face weigh the same.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        pipeline: StableDiffusionPipeline,
        units: tuple[int, ...],
        lanes: int,
        buffer: int,
        sides: bool = False,
    ):
        side = picture_size(pipeline)
        cells = side // pipeline.vae_scale_factor
        self.shape = (pipeline.vae.config.latent_channels, cells, cells)
        self.tokenizer, self.units, self.sides = pipeline.tokenizer, units, sides
        # run.train seeds torch with the run's seed before a recipe is made.
        self.stream = FaceStream(folders, side, torch.initial_seed(), lanes, buffer)

    def draw(self, size: int, generator: torch.Generator, dropout: float, share: Share) -> Drawn:
        pictures, labels = self.stream.read(share.step, size, share.index, share.count)
        noise, timesteps = draw_noise((size, *self.shape), generator)
        latent_noise = torch.randn(size, *self.shape, generator=generator)
        gone = share.of(torch.rand(size, generator=generator) < dropout).tolist()
        captions = ["" if g else label["caption"] for g, label in zip(gone, labels, strict=True)]
        batch = {
            "pictures": torch.from_numpy(pictures),
            "latent_noise": share.of(latent_noise),
            "noise": share.of(noise),
            "timesteps": share.of(timesteps),
            "tokens": tokenize(self.tokenizer, captions),
            "weights": torch.ones(len(labels), 1, 1, 1),
        }
        names = ("left", "right") if self.sides else ("units",)
        aus = np.concatenate([label_values(labels, name, self.units) for name in names], axis=1)
        return Drawn(captions, torch.from_numpy(aus), batch)


def _columns(faces: RenderedSet, sides: bool) -> Tensor:
    """AUs [N, K] of renders; with sides [N, 2 K], the left of every AU and then the right."""
    parts = (faces.left, faces.right) if sides else (faces.aus,)
    return torch.from_numpy(np.concatenate(parts, axis=1))


def tokenize(tokenizer: CLIPTokenizer, captions: list[str]) -> Tensor:
    """Token ids [N, 77], padded as the tokenizer's base does."""
    return tokenizer(
        captions,
        padding="max_length",
        max_length=tokenizer.model_max_length,
        truncation=True,
        return_tensors="pt",
    ).input_ids
