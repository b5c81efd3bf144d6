"""The sampling loop of every method: from noise to latents, step by step, on a diffusers schedule.

What a network predicts comes from a function, so that text, AU tokens, a photo's identity and
guidance are the business of the method.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from ..bases import EncodedText, family_of
from .method import OnStep

Predict = Callable[[Tensor, Tensor], Tensor]  # latents [N, 4, h, w], timestep [] -> prediction


@dataclass(frozen=True)
class Held:
    """What of a photo the sampler keeps: its scaled latents [N, 4, h, w] where `drawn` [N, 1, h, w]
    is 0, under the noise that the sampler starts from."""

    latents: Tensor
    drawn: Tensor
    noise: Tensor

    def begin(self, schedule: Any) -> Tensor:
        """What a sampler starts from: the noise, and what the first timestep shows of the photo."""
        signal = schedule.alphas_cumprod[schedule.timesteps[0].cpu()].to(self.noise).sqrt()
        return self.noise + signal * self.latents

    def enter(self, latents: Tensor, schedule: Any, timestep: Tensor) -> Tensor:
        """The latents of a step, with the photo under that step's noise where it is held."""
        photo = schedule.add_noise(self.latents, self.noise, timestep.reshape(1))
        return torch.lerp(photo, latents, self.drawn)

    def keep(
        self, predicted: Tensor, entered: Tensor, latents: Tensor, schedule: Any, timestep: Tensor
    ) -> Tensor:
        """The noise that leads `latents` to the photo where it is held, and elsewhere to what was
        `predicted` for the `entered` ones."""
        signal = schedule.alphas_cumprod[timestep.cpu()].to(latents).sqrt()
        spread = (1 - signal.square()).sqrt()
        clean = torch.lerp(self.latents, (entered - spread * predicted) / signal, self.drawn)
        return (latents - signal * clean) / spread


@torch.no_grad()
def sample(
    predict: Predict,
    schedule: Any,
    latents: Tensor,
    timesteps: Tensor,
    *,
    generators: Sequence[torch.Generator] = (),
    held: Held | None = None,
    on_step: OnStep | None = None,
) -> Tensor:
    """Scaled latents [N, 4, h, w] after all timesteps, from noisy ones.

    schedule: a diffusers scheduler, set to its timesteps; it must predict noise where something is
    held. generators: one a picture, for samplers that add noise on their way. on_step: see OnStep.
    """
    extra = {}
    if generators and "generator" in inspect.signature(schedule.step).parameters:
        extra["generator"] = list(generators)
    for number, timestep in enumerate(timesteps, 1):
        entered = latents if held is None else held.enter(latents, schedule, timestep)
        predicted = predict(schedule.scale_model_input(entered, timestep), timestep)
        if held is not None:
            predicted = held.keep(predicted, entered, latents, schedule, timestep)
        latents = schedule.step(predicted, timestep, latents, **extra).prev_sample
        if on_step is not None:
            on_step(number, len(timesteps))
    return latents


def guided(unet: nn.Module, inputs: dict[str, Any], guidance: float) -> Predict:
    """Predictions of a diffusers UNet with classifier-free guidance (Ho and Salimans 2022, Eq. 6).

    inputs: its keyword arguments; above a guidance of 1 their rows are twice as many, those without
    condition first.
    """

    def predict(latents: Tensor, timestep: Tensor) -> Tensor:
        if guidance <= 1:
            return unet(latents, timestep, **inputs).sample
        without, asked = unet(torch.cat([latents] * 2), timestep, **inputs).sample.chunk(2)
        return without + guidance * (asked - without)

    return predict


def encode_prompts(pipeline: Any, prompts: Sequence[str], guidance: float) -> dict[str, Any]:
    """What a pipeline's UNet is told of N prompts, for `guided`: above a guidance of 1 the empty
    prompt N times, then the prompts."""
    return told(family_of(pipeline).encode_prompts(pipeline, prompts, guidance > 1))


def told(text: EncodedText) -> dict[str, Any]:
    """Encoded text as arguments of a diffusers UNet."""
    added = {"added_cond_kwargs": dict(text.added)} if text.added else {}
    return {"encoder_hidden_states": text.states, **added}


def seeded(seeds: Sequence[int]) -> list[torch.Generator]:
    """One random generator a picture."""
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def noise_like(unet: nn.Module, generators: Sequence[torch.Generator], size: int) -> Tensor:
    """Noise [N, 4, size, size], each picture's own, the same on every device."""
    channels = unet.config.out_channels
    rows = [torch.randn(1, channels, size, size, generator=generator) for generator in generators]
    return torch.cat(rows).to(unet.device, unet.dtype)


@torch.no_grad()
def decode(vae: nn.Module, latents: Tensor) -> Tensor:
    """Pictures float32 [N, H, W, 3] in 0..1, on the CPU, of scaled latents."""
    pictures = vae.decode(latents / vae.config.scaling_factor, return_dict=False)[0]
    return (pictures * 0.5 + 0.5).clamp(0, 1).movedim(1, -1).float().cpu()


@torch.no_grad()
def encode(vae: nn.Module, pictures: Tensor) -> Any:
    """What an autoencoder makes of pictures [N, H, W, 3] in 0..1: its distribution of unscaled
    latents, or the latents, see `latents_of`."""
    inputs = 2.0 * pictures.movedim(-1, 1).to(vae.device, vae.dtype) - 1.0
    encoded = vae.encode(inputs)
    return encoded.latents if hasattr(encoded, "latents") else encoded.latent_dist


def latents_of(encoded: Any, generator: torch.Generator | None = None) -> Tensor:
    """Unscaled latents [N, 4, h, w]: drawn with the generator, or the mean without one."""
    if isinstance(encoded, Tensor):
        return encoded
    return encoded.mean if generator is None else encoded.sample(generator)


def resized(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Pictures [N, H, W, 3] at another size (height, width)."""
    if tuple(images.shape[1:3]) == size:
        return images
    channels_first = images.movedim(-1, 1)
    resized = interpolate(channels_first, size, mode="bicubic", antialias=True)
    return resized.movedim(1, -1).clamp(0, 1)
