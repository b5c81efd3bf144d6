"""What a MODEL predicts for given latents, asked through core's guider."""

from __future__ import annotations

from typing import Any

import comfy.samplers
import torch
from torch import Tensor

Trajectory = dict[int, Tensor]  # timestep -> latents [N, 4, H, W] as the UNet sees them


def predict(model: Any, positive: list, negative: list, trajectory: Trajectory) -> Tensor:
    """Noise predicted for both CONDITIONINGs, [timesteps, 2, N, 4, H, W]."""
    recorder = Recorder(trajectory, model.get_model_object("model_sampling").sigmas)
    guider = comfy.samplers.CFGGuider(model)
    guider.set_conds(positive, negative)
    empty = torch.zeros_like(next(iter(trajectory.values())))
    guider.sample(empty, empty, comfy.samplers.KSAMPLER(recorder), torch.tensor([1.0, 0.0]))
    return torch.stack(recorder.predictions)


class Recorder:
    """A sampler that asks for the noise in given latents instead of removing it."""

    def __init__(self, trajectory: Trajectory, sigmas: Tensor) -> None:
        self.trajectory, self.sigmas = trajectory, sigmas
        self.predictions: list[Tensor] = []

    def __call__(
        self, model: object, noise: Tensor, sigmas: Tensor, extra_args: dict, **_: object
    ) -> Tensor:
        guider = model.inner_model
        conds = [guider.conds["positive"], guider.conds["negative"]]
        for timestep, latents in self.trajectory.items():
            sigma = self.sigmas[timestep]
            x = latents * (sigma**2 + 1).sqrt()  # the UNet sees the latents themselves
            denoised = comfy.samplers.calc_cond_batch(
                guider.inner_model, conds, x, sigma.expand(len(x)), extra_args["model_options"]
            )
            self.predictions.append(torch.stack([(x - d) / sigma for d in denoised]))
        return noise
