"""Stable Diffusion's noise schedule and the losses on it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from diffusers import DDPMScheduler
from torch import Tensor

from ..models.noise_schedule import NOISE_SCHEDULE

TRAIN_TIMESTEPS = 1000
MIN_SNR_GAMMA = 5.0


def stable_diffusion_schedule() -> DDPMScheduler:
    """1000 steps, scaled-linear betas 0.00085..0.012, epsilon: SD 1.5, SD 2.1-base, bundled."""
    return DDPMScheduler.from_config({"num_train_timesteps": TRAIN_TIMESTEPS, **NOISE_SCHEDULE})


def signal_to_noise(schedule: DDPMScheduler, timesteps: Tensor) -> Tensor:
    """alpha_bar / (1 - alpha_bar) at timesteps [N]."""
    alpha_bar = schedule.alphas_cumprod.to(timesteps.device)[timesteps]
    return alpha_bar / (1 - alpha_bar)


def min_snr_weights(
    schedule: DDPMScheduler, timesteps: Tensor, gamma: float, least: float = 0.0
) -> Tensor:
    """min(SNR, gamma) / SNR for epsilon prediction (Hang et al. 2023, section 3.4), [N]; over
    SNR + 1 for velocity prediction.

    least: the SNR that counts at more noise than that. An error of the picture weighs min(SNR,
    gamma), so next to nothing where noise prevails, and there the colours of a prompt are decided.
    """
    snr = signal_to_noise(schedule, timesteps)
    velocity = schedule.config.prediction_type == "v_prediction"
    return snr.clamp(least, gamma) / (snr + 1 if velocity else snr)


def prediction_target(
    schedule: DDPMScheduler, latents: Tensor, noise: Tensor, timesteps: Tensor
) -> Tensor:
    """What the UNet of the schedule's prediction type should say: the noise, or the velocity."""
    if schedule.config.prediction_type == "v_prediction":
        return schedule.get_velocity(latents, noise, timesteps)
    return noise


def noise_loss(predicted: Tensor, noise: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean squared error of the predicted noise [N, 4, H, W]; weights, if any, broadcast to it."""
    error = (predicted.float() - noise.float()) ** 2
    return error.mean() if weights is None else (error * weights).mean()


def loss_weights(
    schedule: DDPMScheduler, batch: dict[str, Tensor], least_snr: float = 0.0
) -> Tensor:
    """A batch's weights of face parts, times min-SNR of its timesteps: what suits a small base."""
    snr = min_snr_weights(schedule, batch["timesteps"], MIN_SNR_GAMMA, least_snr)
    return batch["weights"] * snr.reshape(-1, 1, 1, 1)


def denoising_loss(
    schedule: DDPMScheduler,
    latents: Tensor,
    batch: dict[str, Tensor],
    predict: Callable[[Tensor, Tensor], Tensor],
    plain: bool = False,
    least_snr: float = 0.0,
) -> Tensor:
    """The error of what `predict` says of scaled latents [N, C, H, W] under a batch's noise, given
    them noisy and their timesteps. plain: the mean squared error alone, else by `loss_weights`."""
    noise, timesteps = batch["noise"], batch["timesteps"]
    predicted = predict(schedule.add_noise(latents, noise, timesteps), timesteps)
    target = prediction_target(schedule, latents, noise, timesteps)
    weights = None if plain else loss_weights(schedule, batch, least_snr)
    return noise_loss(predicted, target, weights)


def draw_noise(shape: tuple[int, ...], generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Noise of the shape and uniform timesteps [N], both from the generator."""
    noise = torch.randn(shape, generator=generator)
    return noise, torch.randint(TRAIN_TIMESTEPS, (shape[0],), generator=generator)
