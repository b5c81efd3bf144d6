"""The AU-Adapter on photos by SDEdit (Meng et al. 2022): noise is added and taken away again, with
AUs. It knows nothing of the person but what the noise leaves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..facs import AUVector
from .adapter_generator import AdapterGenerator, open_adapter
from .base_generator import batches
from .method import settings_of
from .sampling import decode, encode, latents_of, noise_like, resized, sample, seeded

PROMPT = "a photo of a face"


@dataclass(frozen=True, kw_only=True)
class AdapterSDEdit:
    """An Editor that draws the whole photo anew, from part of the noise on.

    edit_noise: 0..1, the share of the noise, and of the generator's steps. prompt: of the photo.
    With `start`, the AUs act from that share of these steps on.
    """

    generator: AdapterGenerator
    edit_noise: float = 0.6
    prompt: str = PROMPT

    name: ClassVar[str] = "AU-Adapter with SDEdit"
    scale: ClassVar[str] = "absolute"

    def __post_init__(self) -> None:
        if not 0 < self.edit_noise <= 1 or not self.steps_run():
            raise ValueError(
                f"edit_noise is {self.edit_noise:g} of {self.generator.steps} steps, expected "
                "more than 0, at most 1, and enough for one step: raise it, or the steps"
            )

    @property
    def units(self) -> tuple[int, ...]:
        return self.generator.units

    @property
    def sides(self) -> bool:
        return self.generator.sides

    @property
    def size(self) -> int:
        """The side in pixels of the square that is drawn."""
        return self.generator.size

    @property
    def batch(self) -> int:
        return self.generator.batch

    def settings(self) -> dict[str, object]:
        own = {"photo_prompt": self.prompt, "edit_noise": self.edit_noise}
        return {**self.generator.settings(), **own}

    def steps_run(self) -> int:
        """How many of the steps an edit runs."""
        return min(int(self.generator.steps * self.edit_noise), self.generator.steps)

    def open(self, photo: Tensor, face: int = 0) -> SDEditPhoto:
        """Look at a photo [1, H, W, 3]. ValueError for another face than 0: it draws them all."""
        if face:
            raise ValueError(
                f"{self.name} draws the whole photo anew and chooses no face: face is {face}, "
                "expected 0. Crop the photo, or use magicface"
            )
        small = resized(photo, (self.size, self.size))
        seen = encode(self.generator.pipeline.vae, small)
        return SDEditPhoto(self, seen, tuple(photo.shape[1:3]))


@dataclass(frozen=True)
class SDEditPhoto:
    """A photo that was opened: what the autoencoder sees in it, and its height and width."""

    editor: AdapterSDEdit
    encoded: Any
    photo_size: tuple[int, int]

    def edit(self, aus: AUVector, seed: int = 0) -> Tensor:
        """Pictures [N, H, W, 3] of the photo with N AU vectors, at the photo's size."""
        parts = [
            self._drawn(AUVector.stack([aus.face(row) for row in rows]), seed)
            for rows in batches(len(aus), self.editor.batch)
        ]
        return resized(torch.cat(parts), self.photo_size)

    def _drawn(self, aus: AUVector, seed: int) -> Tensor:
        generator = self.editor.generator
        schedule, vae = generator.fresh_schedule(), generator.pipeline.vae
        order = getattr(schedule, "order", 1)
        timesteps = schedule.timesteps[-self.editor.steps_run() * order :]
        random = seeded([seed] * len(aus))
        photo = torch.cat([latents_of(self.encoded, one) for one in random])
        noise = noise_like(generator.pipeline.unet, random, photo.shape[-1])
        first = timesteps[:1].repeat(len(aus))
        noisy = schedule.add_noise(photo * vae.config.scaling_factor, noise, first)
        prompts = [self.editor.prompt] * len(aus)
        told = {"generators": random, "on_step": generator.on_step}
        with generator.predictor(prompts, aus, self.editor.steps_run()) as predict:
            return decode(vae, sample(predict, schedule, noisy, timesteps, **told))


@settings_of(AdapterGenerator)
def open_sdedit(
    edit_noise: float = 0.6,
    prompt: str = PROMPT,
    model: str | Path | None = None,
    device: str | None = None,
    half: bool = False,
    tokenizer: str | Path | None = None,
    **settings: Any,
) -> AdapterSDEdit:
    """edit_noise, prompt: of `AdapterSDEdit`; the rest: of `adapter_generator.open_adapter`."""
    base = {"model": model, "device": device, "half": half, "tokenizer": tokenizer}
    generator = open_adapter(**base, **settings)
    return AdapterSDEdit(generator=generator, edit_noise=edit_noise, prompt=prompt)
