"""How the networks of a recipe draw while they learn: a generator for validation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from diffusers import DDIMScheduler
from torch import nn

from ..methods.base_generator import BaseGenerator

STEPS = 20
GUIDANCE = 5.0
BATCH = 4  # pictures of 512 pixels drawn together; of smaller ones more
Kind = TypeVar("Kind", bound=BaseGenerator)


def drawing(
    pipeline: Any,
    networks: Mapping[str, nn.Module] | None = None,
    kind: type[Kind] = BaseGenerator,
    steps: int = STEPS,
    **settings: Any,
) -> Kind:
    """A generator on a base, with DDIM on the base's own noise schedule.

    networks: stand in for the pipeline's by name. kind, settings: its class and what that takes.
    """
    parts = {**pipeline.components, **(networks or {})}
    if "safety_checker" in parts:
        parts["requires_safety_checker"] = False
    if "force_zeros_for_empty_prompt" in pipeline.config:  # SDXL's
        parts["force_zeros_for_empty_prompt"] = pipeline.config["force_zeros_for_empty_prompt"]
    return kind(
        pipeline=type(pipeline)(**parts),
        steps=steps,
        guidance=GUIDANCE,
        batch=BATCH * max(1, 64 // pipeline.unet.config.sample_size),
        schedule=DDIMScheduler.from_config(pipeline.scheduler.config, clip_sample=False),
        **settings,
    )
