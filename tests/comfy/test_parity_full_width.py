"""Stable Diffusion's own widths: ComfyUI + our nodes against diffusers + our processors.

Random weights, one stored trajectory, every sigma of it, LoRA included. Differences are the largest
of all numbers, in standard deviations of the prediction.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from au_adapter_pack.nodes.diffusers_model import build_model
from diffusers import DDIMScheduler
from predicting import Trajectory, predict
from sampling import run
from torch import Tensor, nn
from wide_unet import SD15, SD21, wide_adapter, wide_unet

from au_adapter import AUAdapter, AUVector, apply_to_unet

STEPS, SIZE, GUIDANCE = 5, 8, 4.0
AUS = AUVector.parse("6C+12E+AU4:-2")
FLOAT32 = 1e-4
HALF = {torch.bfloat16: 0.15, torch.float16: 0.02}  # twice what was measured


@dataclass(frozen=True)
class Stored:
    """What diffusers predicts along a trajectory of its own, positive and negative,
    [timesteps, 2, 1, 4, SIZE, SIZE]; `plain` and `without_lora` at its first step."""

    trajectory: Trajectory
    prompts: Tensor
    adapted: Tensor
    plain: Tensor
    without_lora: Tensor
    half: dict[torch.dtype, Tensor]


@dataclass(frozen=True)
class Wide:
    """A UNet's config and weights, an adapter for it, and what diffusers makes of both."""

    config: dict[str, Any]
    weights: dict[str, Tensor]
    adapter: AUAdapter
    stored: Stored

    def in_comfyui(self, trajectory: Trajectory, kind: torch.dtype = torch.float32) -> Tensor:
        """The same through our nodes; `kind` is what ComfyUI computes in."""
        positive, negative = ([(text, {})] for text in self.stored.prompts)
        model = build_model(self.config, self.weights)
        if kind != torch.float32:
            model.set_model_compute_dtype(kind)
        applied = run(
            "AUA_ApplyAUAdapter", model=model, positive=positive, negative=negative,
            au_adapter=self.adapter, au_tokens=self.adapter.encode(AUS), strength=1.0,
        )  # fmt: skip
        return predict(*applied, trajectory)


@pytest.fixture(scope="module", params=[SD21, SD15], ids=["SD 2.1", "SD 1.5"])
def wide(request: pytest.FixtureRequest) -> Wide:
    with torch.inference_mode():
        unet = wide_unet(request.param)
        adapter = wide_adapter(unet)
        stored = in_diffusers(unet, adapter)
        return Wide(dict(unet.config), dict(unet.state_dict()), adapter, stored)


def in_diffusers(unet: nn.Module, adapter: AUAdapter) -> Stored:
    generator = torch.Generator().manual_seed(3)
    prompts = torch.randn(2, 1, 7, unet.config.cross_attention_dim, generator=generator)
    tokens = torch.cat([adapter.encode(AUS), adapter.encode_zero()])
    latents = torch.randn(1, 4, SIZE, SIZE, generator=generator)
    applied = apply_to_unet(unet, adapter)
    trajectory, adapted = walk(unet, latents, prompts, tokens)
    timestep, latents = next(iter(trajectory.items()))
    half = {kind: ask(deepcopy(unet).to(kind), latents, timestep, prompts, tokens) for kind in HALF}
    applied.remove()
    plain = ask(unet, latents, timestep, prompts)
    applied = apply_to_unet(unet, adapter, lora_strength=0.0)
    without_lora = ask(unet, latents, timestep, prompts, tokens)
    applied.remove()
    return Stored(trajectory, prompts, adapted, plain, without_lora, half)


def walk(
    unet: nn.Module, latents: Tensor, prompts: Tensor, tokens: Tensor
) -> tuple[Trajectory, Tensor]:
    """The latents at every step of one sampling with guidance, and what is predicted there."""
    scheduler = DDIMScheduler(1000, 0.00085, 0.012, "scaled_linear", clip_sample=False)
    scheduler.set_timesteps(STEPS)
    trajectory, predictions = {}, []
    for timestep in scheduler.timesteps.tolist():
        trajectory[timestep] = latents
        predictions.append(ask(unet, latents, timestep, prompts, tokens))
        positive, negative = predictions[-1]
        guided = negative + GUIDANCE * (positive - negative)
        latents = scheduler.step(guided, timestep, latents).prev_sample
    return trajectory, torch.stack(predictions)


def ask(
    unet: nn.Module, latents: Tensor, timestep: int, prompts: Tensor, tokens: Tensor | None = None
) -> Tensor:
    """[2, 1, 4, SIZE, SIZE] in float32, computed in the UNet's precision."""
    inputs = latents.expand(2, -1, -1, -1).to(unet.dtype), timestep, prompts[:, 0].to(unet.dtype)
    aus = None if tokens is None else {"au_tokens": tokens}
    return unet(*inputs, cross_attention_kwargs=aus).sample.unsqueeze(1).float()


def difference(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max() / b.std())


def test_float32_at_every_sigma(wide: Wide) -> None:
    stored = wide.stored
    assert len(stored.trajectory) == STEPS
    found = wide.in_comfyui(stored.trajectory)
    for step, expected in zip(found, stored.adapted, strict=True):
        assert difference(step, expected) <= FLOAT32


@pytest.mark.parametrize("kind", HALF, ids=str)
def test_half_precision(wide: Wide, kind: torch.dtype) -> None:
    """Each side rounds in its own order; neither is further from float32 than the tolerance."""
    stored = wide.stored
    timestep, latents = next(iter(stored.trajectory.items()))
    (found,) = wide.in_comfyui({timestep: latents}, kind)
    assert difference(found, stored.half[kind]) <= HALF[kind]
    assert difference(found, stored.adapted[0]) <= HALF[kind]
    assert difference(found, stored.adapted[0]) > FLOAT32  # it was computed in `kind`


def test_adapter_and_lora_both_matter(wide: Wide) -> None:
    """So that the agreement above says something."""
    stored = wide.stored
    assert difference(stored.plain, stored.adapted[0]) > 0.1
    assert difference(stored.without_lora, stored.adapted[0]) > 0.1
    assert difference(stored.without_lora, stored.plain) > 0.1
