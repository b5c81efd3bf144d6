"""The base alone: a Stable Diffusion pipeline that hears nothing of AUs. The other generators on
such a base differ from it in what they tell its UNet."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor

from ..bases import base_name, family_of, load_base
from ..bundled import demo_folder
from ..facs import UNITS, AUVector
from ..weights.tensors import weights_name
from .method import OnStep, settings_of
from .sampling import Predict, decode, encode_prompts, guided, noise_like, sample, seeded

Own = TypeVar("Own", bound="BaseGenerator")


@dataclass(frozen=True, kw_only=True)
class BaseGenerator:
    """A Generator that draws prompts with a diffusers pipeline; AUs have no effect.

    pipeline: of Stable Diffusion's kind. base: its name. steps, guidance (scale of classifier-free
    guidance, 1 for none), batch (pictures drawn at once): as in every picture it makes. schedule: a
    scheduler instead of the pipeline's. on_step: see `method.OnStep`.
    """

    pipeline: Any
    base: str = "unnamed"
    steps: int = 20
    guidance: float = 7.5
    batch: int = 8
    schedule: Any = None
    on_step: OnStep | None = None

    name: ClassVar[str] = "base alone"
    scale: ClassVar[str] = "absolute"
    units: ClassVar[tuple[int, ...]] = tuple(UNITS)
    sides: ClassVar[bool] = False

    @property
    def size(self) -> int:
        """The side of its pictures in pixels."""
        return family_of(self.pipeline).picture_size(self.pipeline)

    def changed(self: Own, **settings: Any) -> Own:
        """The same method with other settings."""
        return replace(self, **settings)

    def settings(self) -> dict[str, object]:
        networks = (self.pipeline.unet, self.pipeline.text_encoder, self.pipeline.vae)
        return {
            "base": self.base,
            "weights": weights_name(*networks),
            "steps": self.steps,
            "guidance": self.guidance,
        }

    def draw(self, prompt: str, seed: int, aus: AUVector) -> Tensor:
        """Pictures [N, H, W, 3] of N AU vectors, all from the same noise."""
        return self.draw_each([prompt] * len(aus), [seed] * len(aus), aus)

    def draw_each(self, prompts: Sequence[str], seeds: Sequence[int], aus: AUVector) -> Tensor:
        """Pictures [N, H, W, 3] of N prompts, seeds and AU vectors."""
        drawn = []
        for rows in batches(len(seeds), self.batch):
            part = AUVector.stack([aus.face(row) for row in rows])
            here = slice(rows.start, rows.stop)
            with self.predictor(prompts[here], part, self.steps) as predict:
                latents = self._latents(predict, seeds[here])
            drawn.append(decode(self.pipeline.vae, latents))
        return torch.cat(drawn)

    def plain(self, prompt: str, seed: int) -> Tensor:
        """The picture [1, H, W, 3] of the base without the method."""
        return decode(self.pipeline.vae, self.plain_latents([prompt], [seed]))

    def plain_latents(self, prompts: Sequence[str], seeds: Sequence[int]) -> Tensor:
        """Scaled latents [N, 4, h, w] of N prompts and seeds, by the base without the method."""
        parts = []
        for rows in batches(len(seeds), self.batch):
            here = slice(rows.start, rows.stop)
            parts.append(self._latents(self.guided(prompts[here]), seeds[here]))
        return torch.cat(parts)

    @contextmanager
    def predictor(self, prompts: Sequence[str], aus: AUVector, steps: int) -> Iterator[Predict]:
        """How the noise of N prompts and AU vectors is predicted in a run of so many steps."""
        yield self.guided(prompts)

    @torch.no_grad()
    def guided(self, prompts: Sequence[str], **told: Any) -> Predict:
        """Predictions for prompts. told: what the UNet is told besides."""
        inputs = encode_prompts(self.pipeline, prompts, self.guidance)
        return guided(self.pipeline.unet, {**inputs, **told}, self.guidance)

    def fresh_schedule(self) -> Any:
        """A scheduler for one run, set to its steps: a run leaves nothing behind."""
        schedule = self.schedule or self.pipeline.scheduler
        again = type(schedule).from_config(schedule.config)
        again.set_timesteps(self.steps, device=self.pipeline.unet.device)
        return again

    def _latents(self, predict: Predict, seeds: Sequence[int]) -> Tensor:
        schedule, unet = self.fresh_schedule(), self.pipeline.unet
        generators = seeded(seeds)
        noise = noise_like(unet, generators, unet.config.sample_size) * schedule.init_noise_sigma
        told = {"generators": generators, "on_step": self.on_step}
        return sample(predict, schedule, noise, schedule.timesteps, **told)


def batches(count: int, size: int) -> Iterator[range]:
    """The numbers 0..count - 1 in groups of at most `size`."""
    for first in range(0, count, size):
        yield range(first, min(first + size, count))


@settings_of(BaseGenerator)
def open_base(
    model: str | Path | None = None,
    device: str | None = None,
    half: bool = False,
    tokenizer: str | Path | None = None,
    **settings: Any,
) -> BaseGenerator:
    """See `open_pipeline`; settings: of `BaseGenerator`."""
    pipeline = open_pipeline(model, device, half, tokenizer)
    return BaseGenerator(pipeline=pipeline, base=named(model), **settings)


def open_pipeline(
    model: str | Path | None = None,
    device: str | None = None,
    half: bool = False,
    tokenizer: str | Path | None = None,
) -> Any:
    """A base as a diffusers pipeline, ready to draw, without safety checker.

    model: see `bases.load_base`; by default the bundled one. device: as torch names it; by default
    this process's GPU where there is one. half: 16 bits instead of 32, float16 on a GPU, else
    bfloat16. Nothing is downloaded. FileNotFoundError, ValueError for what is no base.
    """
    where = torch.device(device) if device else default_device()
    precision = half_precision(where) if half else torch.float32
    return load_base(model or demo_folder(), tokenizer).to(where, precision)


def named(model: str | Path | None) -> str:
    """The name of a base for reports."""
    return base_name(model or demo_folder())


def half_precision(device: torch.device) -> torch.dtype:
    """The floating-point type of 16 bits to compute in."""
    return torch.float16 if device.type == "cuda" else torch.bfloat16


def default_device() -> torch.device:
    """The GPU of this process, of those that accelerate launched, or the processor."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
