"""Metrics on a network's embeddings of two pictures: CLIP-I, identity."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from . import checks

Encode = Callable[[Tensor], Tensor]
BATCH = 16  # pictures given to a network at once
CLIP = "CLIP Vision's projected image embeddings (in ComfyUI: Load CLIP Vision)"
IDENTITY = "a face recognition network's embeddings (MagicFace: dlib's 128 numbers)"


def clip_i(images: Tensor, references: Tensor, encode: Encode | None = None) -> Tensor:
    """CLIP-I, -1..1, float32 [N]: cosine of the CLIP embeddings of pictures and references.

        cos(E(e(p, Y)), E(e(p, Y_0))),  the same network e, prompt p and seed; Y_0: no AUs

    images, references: embeddings [N, D], or pictures [N, H, W, 3] with `encode`, which makes
    [N, D] of them. FineFace Eq. 4 names one network on both sides, so the reference is the method's
    own picture with all AUs at 0; against the base without the method, reports call it
    `clip_i_base`. The paper does not say which CLIP: name yours. 1 means that nothing changed.
    """
    first, second = _embedded("clip_i", images, references, encode, CLIP)
    return cosine_similarity(first, second, dim=1).float()


def identity_l2(images: Tensor, references: Tensor, encode: Encode | None = None) -> Tensor:
    """Distance of identities, >= 0, float32 [N]: || E(image) - E(reference) ||. Lower is better.

    Inputs as for `clip_i`, with a face recognition network and no other: a distance of colours and
    shapes is called `look` in reports. MagicFace section IV-A takes dlib's, where 0.6 parts one
    person from another; another network has another scale, so name yours.
    """
    first, second = _embedded("identity_l2", images, references, encode, IDENTITY)
    return (first - second).norm(dim=1).float()


def identity_cosine(images: Tensor, references: Tensor, encode: Encode | None = None) -> Tensor:
    """Likeness of identities, -1..1, float32 [N]: cosine of the embeddings. Higher is better.

    Inputs as for `clip_i`, with a face recognition network such as ArcFace. PixelSmile's rule of
    thumb: above 0.8 hardly edited, below 0.5 somebody else.
    """
    first, second = _embedded("identity_cosine", images, references, encode, IDENTITY)
    return cosine_similarity(first, second, dim=1).float()


def embed(metric: str, values: Tensor, encode: Encode | None, network: str) -> Tensor:
    """Embeddings float64 [N, D]: as given, or made of pictures in batches by `encode`."""
    if values.dim() == 4 and encode is None:
        raise ValueError(
            f"{metric} got pictures and no network to see them with. Give {network}: as tensors "
            "[N, D] instead of the pictures, or as `encode`, a function from pictures "
            "[N, H, W, 3], 0..1, to [N, D]"
        )
    if encode is not None:
        checks.pictures(metric, values)
        with torch.no_grad():
            values = torch.cat([encode(batch) for batch in values.split(BATCH)])
    if values.dim() != 2 or not values.numel():
        raise ValueError(f"{metric} needs {network} as [N, D], found {list(values.shape)}")
    checks.finite(metric, values)
    return values.detach().cpu().double()


def _embedded(
    metric: str, images: Tensor, references: Tensor, encode: Encode | None, network: str
) -> tuple[Tensor, Tensor]:
    first, second = (embed(metric, side, encode, network) for side in (images, references))
    return checks.pair(metric, first, second, "N D")
