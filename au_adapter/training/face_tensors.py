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
from ..data.rendered import RenderedSet
from ..disk import replacing
from ..models.autoencoder import SCALING_FACTOR, DemoAutoencoder
from ..weights.clip_vision import ImageEncoder

PART_MARGIN = 3  # pixels around a part's box: lids, lips and brows end outside their landmarks


def part_weights(boxes: np.ndarray, size: int, cells: int, part_weight: float) -> Tensor:
    """Weights [N, 1, cells, cells] of the loss: part_weight on eyes, brows and mouth, 1 elsewhere.

    boxes is [N, parts, x0 y0 x1 y1] in pixels of a picture size pixels wide. The weights of a
    picture have mean 1, so that the loss keeps its scale.
    """
    weights = torch.ones(len(boxes), 1, cells, cells)
    scale = cells / size
    first = np.floor((boxes[..., :2] - PART_MARGIN) * scale).clip(0).astype(int)
    last = np.ceil((boxes[..., 2:] + PART_MARGIN) * scale).clip(max=cells).astype(int)
    for row, corners in enumerate(zip(first, last, strict=True)):
        for (left, top), (right, bottom) in zip(*corners, strict=True):
            weights[row, :, top:bottom, left:right] = part_weight
    return weights / weights.mean((1, 2, 3), keepdim=True)


def cached_latents(faces: RenderedSet, autoencoder: DemoAutoencoder, cache: Path) -> Tensor:
    """Scaled latents [N, 4, H/8, W/8] float32 of the pictures, computed once per autoencoder."""

    return _cached(
        "latents",
        faces,
        autoencoder,
        lambda images: autoencoder.encode(to_unit_range(images)) * SCALING_FACTOR,
        cache,
    )


def cached_tokens(faces: RenderedSet, encoder: ImageEncoder, cache: Path) -> Tensor:
    """CLIP's tokens [N, L, width] of the pictures, computed once per encoder.

    float16: of a thousand pictures those of ViT-L/14 take 0.5 GB.
    """

    return _cached(
        "tokens", faces, encoder.network, lambda images: encoder.tokens(images / 255).half(), cache
    )


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
        with replacing(path) as partial, torch.no_grad():
            rows = [encode(images) for images in torch.from_numpy(faces.images).split(64)]
            save_file({name: torch.cat(rows).contiguous()}, partial)
    return load_file(path)[name]


def _fingerprint(faces: RenderedSet, network: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        if not name.startswith("decoder."):
            digest.update(tensor.numpy().tobytes())
    digest.update(faces.images)
    digest.update(str(faces.images.shape).encode())
    return digest.hexdigest()[:16]
