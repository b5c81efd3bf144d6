"""Rendered faces as tensors for training: pictures, weights by face part, cached encodings."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ..bases.family import to_unit_range
from ..data.rendered import RenderedSet
from ..models.autoencoder import SCALING_FACTOR, DemoAutoencoder
from ..weights.tensors import kept

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
    digest = hashlib.sha256(f"{network_digest(autoencoder)} {faces.images.shape}".encode())
    digest.update(faces.images)
    path = Path(cache) / f"latents-{digest.hexdigest()[:16]}.safetensors"

    @torch.no_grad()
    def encode() -> dict[str, Tensor]:
        parts = torch.from_numpy(faces.images).split(64)
        rows = [autoencoder.encode(to_unit_range(part)) * SCALING_FACTOR for part in parts]
        return {"latents": torch.cat(rows)}

    return kept(path, encode, "latents")["latents"]


def network_digest(network: nn.Module) -> str:
    """16 hex digits of a network's weights, an autoencoder's decoder left out."""
    digest = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        if "decoder." not in name:
            digest.update(tensor.cpu().numpy().tobytes())
    return digest.hexdigest()[:16]
