"""Pairs of pictures of one person in other pose, background and expression, as MagicFace trains."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from ..data.rendered import RenderedSet, gather, iterate_shard
from ..data.shards import find_shards
from ..disk import damage_named
from ..faces.jaw_background import PERSON, dots
from ..weights.clip_vision import ImageEncoder
from ..weights.downloads import sha256
from ..weights.tensors import kept
from .diffusion import draw_noise
from .face_tensors import network_digest, part_weights

DROPOUT = 0.1  # of the changes, for guidance (section III-C)
ZERO_NOISE = 0.2  # deviation of the noise on a change of nothing, so that it is not a dropped one
CHUNK = 64  # pictures in memory at a time
PIXELS = 64 * 128 * 128  # that are encoded at a time
PART_WEIGHT = 3.0  # how much more eyes, brows and mouth weigh in the bundled model's loss
UNKNOWN = -1  # the frame of a picture that is of no video


@dataclass(frozen=True)
class PictureEncoder:
    """How the pictures of pairs are encoded, once.

    encode: uint8 pictures [N, H, W, 3] -> unscaled latents [N, C, h, w]. network: what encodes, for
    the cache's name. size: pixels of a side that the base draws. background_scale: size of the
    background picture in sizes of the photo. dtype: of the latents that are kept. image_encoder:
    CLIP, whose tokens the photos come as instead of latents.
    """

    encode: Callable[[Tensor], Tensor]
    network: nn.Module
    size: int
    background_scale: int = 1
    dtype: torch.dtype = torch.float32
    image_encoder: ImageEncoder | None = None

    def name(self) -> str:
        """16 hex digits of what the latents depend on."""
        networks = [self.network, *([self.image_encoder.network] if self.image_encoder else [])]
        told = [self.size, self.background_scale, self.dtype, *map(network_digest, networks)]
        return hashlib.sha256(" ".join(map(str, told)).encode()).hexdigest()[:16]

    @torch.no_grad()
    def __call__(self, faces: RenderedSet) -> dict[str, Tensor]:
        """What training needs of N faces: "photos" and "backgrounds", unscaled latents; "aus" [N,
        12]; "boxes" in pixels of `size`; "identity" and "frame" [N]; and CLIP's "tokens"."""
        faces = resized(faces, self.size)
        behind = with_jaw(faces, self.background_scale)
        frames = [label.get("frame", UNKNOWN) for label in faces.labels]
        found = {
            "photos": self._latents(faces.images),
            "backgrounds": self._latents(behind.images),
            "aus": torch.from_numpy(faces.aus),
            "boxes": torch.from_numpy(faces.boxes),
            "identity": torch.from_numpy(faces.identity),
            "frame": torch.tensor(frames),
        }
        if self.image_encoder:
            pictures = torch.from_numpy(faces.images) / 255
            found["tokens"] = self.image_encoder.tokens(pictures).half()
        return found

    def _latents(self, pictures: np.ndarray) -> Tensor:
        parts = torch.from_numpy(pictures).split(max(1, PIXELS // pictures[0, ..., 0].size))
        return torch.cat([self.encode(part).to("cpu", self.dtype) for part in parts])


class FacePairs:
    """Photo and target of one person, the target's background, and how the AUs change."""

    def __init__(
        self,
        folders: Sequence[Path],
        encoder: PictureEncoder,
        scaling_factor: float,
        *,
        unchanged: float = 0.05,
        dropout: float = DROPOUT,
        frame_distance: int = 0,
    ):
        """folders: shards of renders, or of faces that were cut out of photos; each keeps what was
        encoded in its folder cache. scaling_factor: of the base's latents. unchanged: share of the
        pairs that are a picture with itself, so that no change is learned too. dropout: see
        `draw_change`. frame_distance: see `Partners`. ValueError when no person has a pair."""
        name = encoder.name()
        shards = [shard for folder in folders for shard in find_shards(folder)]
        parts = [_encoded(shard, encoder, name) for shard in shards]
        self.faces = {key: torch.cat([part[key] for part in parts]) for key in parts[0]}
        self.size, self.scaling_factor = encoder.size, scaling_factor
        people, frames = self.faces["identity"].numpy(), self.faces["frame"].numpy()
        self.partners = Partners(people, frames, frame_distance)
        self.unchanged, self.dropout = unchanged, dropout

    def draw(self, size: int, generator: torch.Generator) -> dict[str, Tensor]:
        """The batch of a step. "photo" and "background" are unscaled latents, as MagicFace takes
        them, the former CLIP's tokens [size, L, width] if an image encoder was given; "change"
        [size, 12] is target minus photo; "weights" stress the target's eyes, brows and mouth."""
        photo, target = self.rows(size, generator)
        faces, aus = self.faces, self.faces["aus"]
        latents = faces["photos"][target].float() * self.scaling_factor
        noise, timesteps = draw_noise(latents.shape, generator)
        boxes, cells = faces["boxes"][target].numpy(), latents.shape[-1]
        return {
            "photo": faces.get("tokens", faces["photos"])[photo].float(),
            "latents": latents,
            "background": faces["backgrounds"][target].float(),
            "change": draw_change(aus[target] - aus[photo], generator, self.dropout),
            "weights": part_weights(boxes, self.size, cells, PART_WEIGHT),
            "noise": noise,
            "timesteps": timesteps,
        }

    def rows(self, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Rows [size] of photos and of targets."""
        first = torch.randint(len(self.partners.rows), (size,), generator=generator)
        place = torch.rand(size, generator=generator)
        same = torch.rand(size, generator=generator) < self.unchanged
        photo = torch.tensor([self.partners.rows[i] for i in first.tolist()])
        others = [self.partners.of(row) for row in photo.tolist()]
        second = [int(o[int(p * len(o))]) for o, p in zip(others, place.tolist(), strict=True)]
        return photo, torch.where(same, photo, torch.tensor(second))


class Partners:
    """For each picture the others of the same person, at least `distance` frames away.

    identities, frames: int [N]; a frame that is UNKNOWN is far from every other. rows: the pictures
    that have a partner, person by person. ValueError where there is none.
    """

    def __init__(self, identities: np.ndarray, frames: np.ndarray | None = None, distance: int = 0):
        self.frames = np.full(len(identities), UNKNOWN) if frames is None else frames
        self.distance = distance
        people: dict[int, list[int]] = {}
        for row, identity in enumerate(identities.tolist()):
            people.setdefault(identity, []).append(row)
        groups = map(np.array, people.values())
        self._own = {row: own for own in groups for row in own.tolist()}  # person by person
        self.rows = [row for row in self._own if len(self.of(row))]
        if not self.rows:
            far = f", {distance} frames apart or more," if distance else ""
            raise ValueError(
                f"no person among {len(identities)} pictures has two of them{far} and MagicFace "
                "learns from pairs of one person: render several pictures for each identity, or "
                "put the photos of each person into a folder of their own"
            )

    def of(self, row: int) -> np.ndarray:
        """The partners of a picture, in order."""
        own = self._own[row]
        theirs, here = self.frames[own], self.frames[row]
        far = np.abs(theirs - here) >= self.distance
        return own[(own != row) & (far | (theirs == UNKNOWN) | (here == UNKNOWN))]


def _encoded(shard: Path, encoder: PictureEncoder, name: str) -> dict[str, Tensor]:
    """What `encoder` makes of a shard, kept beside it."""

    def encode() -> dict[str, Tensor]:
        samples, parts = iterate_shard(shard), []
        while chunk := list(islice(samples, CHUNK)):
            with damage_named(shard):
                faces = gather(chunk)
                np.array([label["jaw"] for label in faces.labels], np.float32).reshape(-1, 17, 2)
            parts.append(encoder(faces))
        return {key: torch.cat([part[key] for part in parts]) for key in parts[0]}

    path = shard.parent / "cache" / f"pairs-{sha256(shard)[:16]}-{name}.safetensors"
    return kept(path, encode)


def draw_change(change: Tensor, generator: torch.Generator, dropout: float = DROPOUT) -> Tensor:
    """A change of AUs [N, 12] as it is trained on: no change at all gets noise, and a share of all
    rows is dropped to exact zeros, which stand for no condition."""
    noise = ZERO_NOISE * torch.randn(change.shape, generator=generator)
    nothing = (change == 0).all(-1, keepdim=True)
    dropped = torch.rand(len(change), 1, generator=generator) < dropout
    return torch.where(nothing, change + noise, change) * ~dropped


def resized(faces: RenderedSet, size: int) -> RenderedSet:
    """The same faces in pictures of `size` pixels a side, with their masks, boxes and jaw lines."""
    scale = size / faces.images.shape[1]
    if scale == 1:
        return faces
    pictures = np.concatenate([faces.images, faces.masks[..., None]], -1)
    whole = torch.from_numpy(pictures).movedim(-1, 1).float()
    small = interpolate(whole, (size, size), mode="bilinear", antialias=True).round().byte()
    pixels = small.movedim(1, -1).numpy()
    jaws = [(scale * np.array(label["jaw"])).tolist() for label in faces.labels]
    return replace(
        faces,
        images=np.ascontiguousarray(pixels[..., :3]),
        masks=np.ascontiguousarray(pixels[..., 3]),
        boxes=faces.boxes * np.float32(scale),
        labels=[{**label, "jaw": jaw} for label, jaw in zip(faces.labels, jaws, strict=True)],
    )


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
