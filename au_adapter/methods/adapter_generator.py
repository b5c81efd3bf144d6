"""The AU-Adapter on a Stable Diffusion pipeline.

generator = open_generator("au-adapter")  # the bundled base and adapter
generator = open_generator("au-adapter", model="folder", adapter="adapter.safetensors", steps=30)
pictures = generator.draw("a portrait of a man", 7, AUVector.parse("6C+12D"))
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..bundled import demo_folder
from ..facs import AUVector
from ..models.adapter import AUAdapter
from ..models.diffusers_unet import AppliedAdapter, apply_to_unet
from ..weights.adapter_files import adapter_hash, load_adapter
from .base_generator import BaseGenerator, named, open_pipeline
from .method import settings_of
from .sampling import Predict


@dataclass(frozen=True, kw_only=True)
class AdapterGenerator(BaseGenerator):
    """A Generator of a pipeline and an adapter of its base; see `BaseGenerator`.

    strength: of the adapter. calibrated: ask by the adapter's response curves. start: 0..1, the
    share of the steps that run before the AUs begin to act; the later, the nearer a picture stays
    to the one without AUs. installed: the UNet carries the adapter already, as in training.
    """

    adapter: AUAdapter
    strength: float = 1.0
    calibrated: bool = False
    start: float = 0.0
    installed: bool = False

    name: ClassVar[str] = "AU-Adapter"

    @property
    def units(self) -> tuple[int, ...]:
        return self.adapter.config.units

    @property
    def sides(self) -> bool:
        return self.adapter.config.sides

    def settings(self) -> dict[str, object]:
        calibration = self.adapter.calibration
        return {
            "adapter": adapter_hash(self.adapter),
            **super().settings(),
            "base": self.adapter.config.base or "unnamed",
            "strength": self.strength,
            "start": self.start,
            "calibration": calibration.name() if self.calibrated and calibration else "off",
        }

    def conditions(self) -> str:
        """How its pictures are made, in one line, for a calibration."""
        settings = self.settings()
        names = ("base", "steps", "guidance", "strength", *(("start",) if self.start else ()))
        return ", ".join(f"{name} {settings[name]}" for name in names)

    @contextmanager
    def predictor(self, prompts: Sequence[str], aus: AUVector, steps: int) -> Iterator[Predict]:
        told = {"cross_attention_kwargs": {"au_tokens": self._tokens(aus)}}
        if self.installed:
            yield self.guided(prompts, **told)
            return
        applied = apply_to_unet(self.pipeline.unet, self.adapter, self.strength)
        try:
            predict, first = self.guided(prompts, **told), round(self.start * steps)
            yield self._from_step(first, applied, predict) if first else predict
        finally:
            applied.remove()

    @torch.no_grad()
    def _tokens(self, aus: AUVector) -> Tensor:
        """AU tokens of the rows of `sampling.guided`: without condition, the encoded zeros."""
        tokens = self.adapter.encode(aus, self.calibrated)
        if self.guidance <= 1:
            return tokens
        return torch.cat([self.adapter.encode_zero().expand_as(tokens), tokens])

    def _from_step(self, first: int, applied: AppliedAdapter, predict: Predict) -> Predict:
        """The AUs act from step `first` on, the steps counted from 0."""
        step = 0

        def counted(latents: Tensor, timestep: Tensor) -> Tensor:
            nonlocal step
            applied.switch(self.strength if step >= first else 0.0)
            step += 1
            return predict(latents, timestep)

        return counted


@settings_of(AdapterGenerator)
def open_adapter(
    model: str | Path | None = None,
    adapter: str | Path | None = None,
    device: str | None = None,
    half: bool = False,
    tokenizer: str | Path | None = None,
    **settings: Any,
) -> AdapterGenerator:
    """model, device, half, tokenizer: see `open_pipeline`. adapter: a file of the model's base; the
    bundled model has its own. settings: of `AdapterGenerator`. ValueError for a model without an
    adapter."""
    if adapter is None and model is not None:
        raise ValueError(f"The model {model} needs the file of an adapter that fits it")
    pipeline = open_pipeline(model, device, half, tokenizer)
    loaded = load_adapter(adapter or demo_folder() / "adapter.safetensors")
    loaded = loaded.requires_grad_(False).eval().to(pipeline.unet.device, pipeline.unet.dtype)
    return AdapterGenerator(pipeline=pipeline, base=named(model), adapter=loaded, **settings)
