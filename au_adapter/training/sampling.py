"""Pictures of networks as they are now: by the pipeline of a base, and edits by a MagicFace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from diffusers import DDIMScheduler, DiffusionPipeline
from torch import Tensor, nn

from ..models import magicface
from .diffusion import stable_diffusion_schedule

STEPS = 20
GUIDANCE = 5.0
# What the classes of diffusers' pipelines take beside networks.
CALLED = ("requires_safety_checker", "force_zeros_for_empty_prompt")
BATCH = 4  # pictures of 512 pixels drawn together; of smaller ones more


@dataclass(frozen=True)
class Case:
    """One picture to draw: its prompt, its seed, and AU number as text -> intensity asked for."""

    prompt: str
    seed: int
    requested: Mapping[str, float]


def draw_pictures(
    pipeline: DiffusionPipeline,
    networks: Mapping[str, nn.Module],
    inputs: Mapping[str, object],
    seeds: Sequence[int],
    steps: int = STEPS,
    guidance: float = GUIDANCE,
) -> Tensor:
    """Pictures float32 [N, H, W, 3] in 0..1, one for each seed, whatever was drawn before.

    networks: stand in for the pipeline's by name. inputs: its arguments, lists or tensors of N
    rows; "au_tokens" is a pair of tensors [N, T, width], of no AUs and of those asked for.
    """
    images = _draw(pipeline, networks, inputs, seeds, steps, guidance, "pt")
    return images.movedim(1, -1)


def draw_latents(
    pipeline: DiffusionPipeline,
    prompts: Sequence[str],
    seeds: Sequence[int],
    steps: int = STEPS,
    guidance: float = GUIDANCE,
) -> Tensor:
    """Scaled latents float32 [N, 4, H/8, W/8] of prompts, drawn by a base as it is."""
    with torch.no_grad():
        inputs = {"prompt": list(prompts)}
        return _draw(pipeline, {}, inputs, seeds, steps, guidance, "latent")


@torch.no_grad()
def draw_edits(
    network: nn.Module,
    text: Tensor,
    photo: Tensor,
    background: Tensor,
    changes: Tensor,
    noise: Tensor,
    steps: int = STEPS,
    guidance: float = magicface.GUIDANCE,
) -> Tensor:
    """Scaled latents [N, 4, H, W] of one photo with each of the changes of AUs [N, 12].

    network: any of models.magicface_ablations.IDENTITIES, looking once. text, photo, background: of
    one row, as its methods take them. noise [N, 4, H, W]: what DDIM starts from.
    """
    schedule = DDIMScheduler.from_config(
        stable_diffusion_schedule().config, steps_offset=1, set_alpha_to_one=False
    )
    schedule.set_timesteps(steps)
    identity, latents = network.identify(photo, text), noise
    both = torch.cat([torch.zeros_like(changes), changes])
    text, background = (rows.expand(len(both), *rows.shape[1:]) for rows in (text, background))
    for timestep in schedule.timesteps:
        pair = torch.cat([latents, latents])
        without, changed = network(pair, timestep, text, identity, background, both).chunk(2)
        found = magicface.guided(without, changed, guidance)
        latents = schedule.step(found, timestep, latents).prev_sample
    return latents


def _draw(
    pipeline: DiffusionPipeline,
    networks: Mapping[str, nn.Module],
    inputs: Mapping[str, object],
    seeds: Sequence[int],
    steps: int,
    guidance: float,
    output_type: str,
) -> Tensor:
    kept = {name: pipeline.config[name] for name in CALLED if name in pipeline.config}
    ours = type(pipeline)(
        **{**pipeline.components, **networks, "scheduler": _scheduler(pipeline), **kept}
    )
    ours.set_progress_bar_config(disable=True)
    drawn = []
    batch = BATCH * max(1, 64 // pipeline.unet.config.sample_size)
    for first in range(0, len(seeds), batch):
        rows = slice(first, first + batch)
        images = ours(
            **_rows(inputs, rows),
            generator=[torch.Generator().manual_seed(seed) for seed in seeds[rows]],
            num_inference_steps=steps,
            guidance_scale=guidance,
            output_type=output_type,
        ).images
        drawn.append(images.float().cpu())
    return torch.cat(drawn)


def _rows(inputs: Mapping[str, object], rows: slice) -> dict:
    """The arguments for some of the pictures, guidance's unconditional rows first."""
    part = {name: value[rows] for name, value in inputs.items() if name != "au_tokens"}
    if "au_tokens" in inputs:
        zero, asked = inputs["au_tokens"]
        part["cross_attention_kwargs"] = {"au_tokens": torch.cat([zero[rows], asked[rows]])}
    return part


def _scheduler(pipeline: DiffusionPipeline) -> DDIMScheduler:
    """DDIM on the base's own noise schedule."""
    return DDIMScheduler.from_config(pipeline.scheduler.config, clip_sample=False)
