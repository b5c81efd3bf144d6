"""Rendered faces as tensors for training: pictures, weights by face part, cached encodings."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..bases.family import to_unit_range
from ..data.rendered import RenderedSet, load
from ..disk import replacing
from ..facs import SET_A
from ..models.autoencoder import SCALING_FACTOR, DemoAutoencoder
from ..weights.clip_vision import ImageEncoder
from .diffusion import draw_noise

PART_MARGIN = 3  # pixels around a part's box: lids, lips and brows end outside their landmarks


def load_faces(
    folders: list[Path], limit: int | None = None, units: tuple[int, ...] = SET_A
) -> list[RenderedSet]:
    """The renders of each folder, at most limit per folder, with the named units as columns."""
    return [load(folder, limit=limit, units=units) for folder in folders]


def part_weights(boxes: np.ndarray, size: int, cells: int, part_weight: float) -> Tensor:
    """Weights [N, 1, cells, cells] of the loss: part_weight on eyes, brows and mouth, 1 elsewhere.

    boxes is [N, parts, x0 y0 x1 y1] in pixels of a picture size pixels wide. The weights of a
    picture have mean 1, so that the loss keeps its scale.
    """
    weights = torch.ones(len(boxes), 1, cells, cells)
    scale = cells / size
    for row, parts in enumerate(boxes):
        for x0, y0, x1, y1 in parts:
            left, right = _cells(x0, x1, scale, cells)
            top, bottom = _cells(y0, y1, scale, cells)
            weights[row, :, top:bottom, left:right] = part_weight
    return weights / weights.mean((1, 2, 3), keepdim=True)


def _cells(low: float, high: float, scale: float, cells: int) -> tuple[int, int]:
    first = max(0, int(np.floor((low - PART_MARGIN) * scale)))
    return first, min(cells, int(np.ceil((high + PART_MARGIN) * scale)))


class CaptionedLatents:
    """Faces as a diffusion model trains on them: latents, their captions' tokens, loss weights."""

    def __init__(
        self,
        sets: list[RenderedSet],
        autoencoder: DemoAutoencoder,
        tokenize: Callable[[list[str]], Tensor],
        part_weight: float,
        cache: Path,
    ):
        """tokenize: captions -> token ids [N, length]. cache: the folder that keeps the latents."""
        self.latents = torch.cat([cached_latents(faces, autoencoder, cache) for faces in sets])
        self.tokens = torch.cat([tokenize(faces.captions) for faces in sets])
        cells = self.latents.shape[-1]
        self.weights = torch.cat(
            [part_weights(f.boxes, f.images.shape[1], cells, part_weight) for f in sets]
        )
        self.empty = tokenize([""])

    def draw(
        self, size: int, generator: torch.Generator, caption_dropout: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The rows [size] of a step, and its batch; a dropped caption is the empty prompt."""
        rows = torch.randint(len(self.latents), (size,), generator=generator)
        noise, timesteps = draw_noise(self.latents[rows].shape, generator)
        dropped = torch.rand(size, 1, generator=generator) < caption_dropout
        return rows, {
            "latents": self.latents[rows],
            "noise": noise,
            "timesteps": timesteps,
            "tokens": torch.where(dropped, self.empty, self.tokens[rows]),
            "weights": self.weights[rows],
        }


def cached_latents(faces: RenderedSet, autoencoder: DemoAutoencoder, cache: Path) -> Tensor:
    """Scaled latents [N, 4, H/8, W/8] float32 of the pictures, computed once per autoencoder."""

    def encode(images: Tensor) -> Tensor:
        return autoencoder.encode(to_unit_range(images)) * SCALING_FACTOR

    return _cached("latents", faces, autoencoder, encode, cache)


def cached_tokens(faces: RenderedSet, encoder: ImageEncoder, cache: Path) -> Tensor:
    """CLIP's tokens [N, L, width] of the pictures, computed once per encoder.

    float16: of a thousand pictures those of ViT-L/14 take 0.5 GB.
    """

    def encode(images: Tensor) -> Tensor:
        return encoder.tokens(images / 255).half()

    return _cached("tokens", faces, encoder.network, encode, cache)


def _cached(
    name: str,
    faces: RenderedSet,
    network: nn.Module,
    encode: Callable[[Tensor], Tensor],
    cache: Path,
) -> Tensor:
    """What `encode` makes of the uint8 pictures with `network`, kept in the folder."""
    path = Path(cache) / f"{name}-{_fingerprint(faces, network)}.safetensors"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial:
            save_file({name: _encode(faces, encode)}, partial)
    return load_file(path)[name]


def _encode(faces: RenderedSet, encode: Callable[[Tensor], Tensor]) -> Tensor:
    with torch.no_grad():
        rows = [encode(images) for images in torch.from_numpy(faces.images).split(64)]
    return torch.cat(rows).contiguous()


def _fingerprint(faces: RenderedSet, network: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        if not name.startswith("decoder."):
            digest.update(tensor.numpy().tobytes())
    digest.update(faces.images)
    digest.update(str(faces.images.shape).encode())
    return digest.hexdigest()[:16]
