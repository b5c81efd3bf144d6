"""Pairs of pictures of one person in other pose, background and expression, as MagicFace trains."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ..data.rendered import RenderedSet
from ..faces.jaw_background import PERSON, dots
from ..models.autoencoder import SCALING_FACTOR, DemoAutoencoder
from ..weights.clip_vision import ImageEncoder
from .diffusion import draw_noise
from .face_tensors import cached_latents, cached_tokens, part_weights

DROPOUT = 0.1  # of the changes, for guidance (section III-C)
ZERO_NOISE = 0.2  # deviation of the noise on a change of nothing, so that it is not a dropped one
CHUNK = 256  # pictures at a time in single precision: a thousand take a gigabyte
PART_WEIGHT = 3.0  # how much more eyes, brows and mouth weigh in the bundled model's loss


class FacePairs:
    """Photo and target of one person, the target's background, and how the AUs change."""

    def __init__(
        self,
        sets: list[RenderedSet],
        autoencoder: DemoAutoencoder,
        cache: Path,
        background_scale: int = 1,
        unchanged: float = 0.05,
        image_encoder: ImageEncoder | None = None,
    ):
        """cache: the folder that keeps latents. background_scale: size of the background picture
        in sizes of the photo. unchanged: share of the pairs that are a picture with itself, so that
        no change is learned too. image_encoder: whose tokens the photos come as, instead of
        latents. ValueError when no person has two pictures."""
        self.latents = torch.cat([cached_latents(faces, autoencoder, cache) for faces in sets])
        self.photos = self.latents / SCALING_FACTOR
        if image_encoder:
            self.photos = torch.cat([cached_tokens(faces, image_encoder, cache) for faces in sets])
        behind = [with_jaw(faces, background_scale) for faces in sets]
        backgrounds = [cached_latents(faces, autoencoder, cache) for faces in behind]
        self.backgrounds = torch.cat(backgrounds) / SCALING_FACTOR
        self.weights = torch.cat(
            [
                part_weights(f.boxes, f.images.shape[1], self.latents.shape[-1], PART_WEIGHT)
                for f in sets
            ]
        )
        self.aus = torch.cat([torch.from_numpy(faces.aus) for faces in sets])
        self.partners = find_partners(np.concatenate([faces.identity for faces in sets]))
        self.unchanged = unchanged

    def draw(self, size: int, generator: torch.Generator) -> dict[str, Tensor]:
        """The batch of a step. "photo" and "background" are unscaled latents, as MagicFace takes
        them, the former CLIP's tokens [size, L, width] if an image encoder was given; "change"
        [size, 12] is target minus photo; "weights" tell the target's eyes, brows and mouth from the
        rest."""
        photo, target = self._rows(size, generator)
        noise, timesteps = draw_noise(self.latents[target].shape, generator)
        return {
            "photo": self.photos[photo].float(),
            "latents": self.latents[target],
            "background": self.backgrounds[target],
            "change": draw_change(self.aus[target] - self.aus[photo], generator),
            "weights": self.weights[target],
            "noise": noise,
            "timesteps": timesteps,
        }

    def _rows(self, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Rows [size] of photos and of targets."""
        first = torch.randint(len(self.partners), (size,), generator=generator)
        place = torch.rand(size, generator=generator)
        same = torch.rand(size, generator=generator) < self.unchanged
        photos = list(self.partners)
        photo = torch.tensor([photos[i] for i in first.tolist()])
        others = [self.partners[row] for row in photo.tolist()]
        second = [o[int(p * len(o))] for o, p in zip(others, place.tolist(), strict=True)]
        return photo, torch.where(same, photo, torch.tensor(second))


def find_partners(identities: np.ndarray) -> dict[int, list[int]]:
    """Row -> the other rows of the same person; people with one picture are left out.

    ValueError when nobody is left.
    """
    people: dict[int, list[int]] = {}
    for row, identity in enumerate(identities.tolist()):
        people.setdefault(identity, []).append(row)
    partners = {
        row: [other for other in rows if other != row]
        for rows in people.values()
        for row in rows
        if len(rows) > 1
    }
    if not partners:
        raise ValueError(
            f"no person among {len(identities)} pictures has two of them, and MagicFace learns "
            "from pairs of one person: render several pictures for each identity"
        )
    return partners


def draw_change(change: Tensor, generator: torch.Generator, dropout: float = DROPOUT) -> Tensor:
    """A change of AUs [N, 12] as it is trained on: no change at all gets noise, and a share of all
    rows is dropped to exact zeros, which stand for no condition."""
    noise = ZERO_NOISE * torch.randn(change.shape, generator=generator)
    nothing = (change == 0).all(-1, keepdim=True)
    dropped = torch.rand(len(change), 1, generator=generator) < dropout
    return torch.where(nothing, change + noise, change) * ~dropped


def with_jaw(faces: RenderedSet, scale: int = 1) -> RenderedSet:
    """The same renders with MagicFace's condition in the place of the pictures: the background,
    the person black, the jaw line drawn on it; `scale` times as large."""
    size = scale * faces.images.shape[1]
    behind = np.empty((len(faces.images), size, size, 3), np.uint8)
    for start in range(0, len(behind), CHUNK):
        rows = slice(start, start + CHUNK)
        pictures = torch.from_numpy(faces.images[rows]).movedim(-1, 1).float() / 255
        people = torch.from_numpy(faces.masks[rows])[:, None].float() / 255
        clear = interpolate(pictures, (size, size), mode="bilinear").movedim(1, -1)
        black = interpolate(people, (size, size), mode="bilinear")[:, 0, ..., None] > PERSON
        jaws = scale * torch.tensor([label["jaw"] for label in faces.labels[rows]])
        drawn = torch.stack([dots(jaw, size) for jaw in jaws])
        behind[rows] = (255 * (clear * ~black + drawn).clamp(0, 1)).round().byte().numpy()
    return replace(faces, images=behind)
