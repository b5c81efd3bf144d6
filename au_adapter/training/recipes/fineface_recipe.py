"""FineFace's recipe: encoder, values and LoRA learn on a frozen base.

On the demo model it departs from the paper, each time by a keyword: the loss weighs face parts and
timesteps (plain_loss=True is FineFace's), and captions are dropped now and then (caption_dropout=0
is FineFace's), because the tiny base has no habit of unprompted pictures to fall back on.
FineFace's own numbers, for Stable Diffusion, are in `fineface_sd`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionPipeline
from torch import Tensor

from ...bases import base_name
from ...models.adapter import AUAdapter
from ...models.diffusers_unet import collect_lora, train_on_unet
from ...models.widening import widen_adapter
from ...weights.adapter_files import load_adapter, save_adapter
from ..sampling import Case
from ..settings import Settings, require_number
from ..side_loss import SideLoss
from .conditioned import AdaptedRecipe, ConditionedLoss

SETTINGS = Settings(
    steps=20000,
    batch_size=32,
    learning_rate=1e-3,
    weight_decay=1e-2,
    warmup_steps=200,
    decay_steps=2000,
    average_decay=0.998,
    mixed_precision="bf16",
    save_every=250,
)


LORA_RANK = 32
SIDE_WEIGHT = 0.05  # of `SideLoss` beside the noise error


class AdapterLoss(ConditionedLoss):
    """Noise error of the adapted, otherwise frozen base; with sides, `SideLoss` besides."""

    def __init__(self, pipeline: StableDiffusionPipeline, plain: bool, adapter: AUAdapter):
        super().__init__(pipeline, plain)
        self.adapter = adapter
        train_on_unet(self.unet, adapter)
        self.sides = SideLoss(self.unet, adapter) if adapter.config.sides else None

    def error(self, *arguments: Any) -> Tensor:
        if self.sides is None:
            return super().error(*arguments)
        self.sides.begin()
        noise_error = super().error(*arguments)
        return noise_error + SIDE_WEIGHT * self.sides.mean()

    def condition(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        text = self.read_text(batch["tokens"])
        return text, {"au_tokens": self.adapter.encoder(batch["aus"])}


class FineFaceRecipe(AdaptedRecipe):
    """Trains an AU-Adapter.

    sides: left and right apart. start: an adapter file of the same base to go on from; it may know
    fewer AUs, and both sides alike. encoder, lora_rank: those of the start, else `own_encoder` and
    32 (0: no LoRA); ValueError where others are asked of a start. Response curves of a start are
    dropped: they are of its weights.
    """

    own_encoder = "res_mlp64"

    def __init__(
        self,
        data: list[Path],
        base: str | Path | None = None,
        encoder: str | None = None,
        lora_rank: int | None = None,
        start: str | None = None,
        sides: bool = False,
        **keywords: object,
    ):
        self.encoder, self.lora_rank, self.start, self.sides = encoder, lora_rank, start, sides
        if lora_rank is not None:
            require_number("lora_rank", lora_rank, 0)
        self.provenance: Mapping[str, Any] = {}
        super().__init__(data, base, **keywords)

    def make_module(self, plain: bool) -> AdapterLoss:
        return AdapterLoss(self.pipeline, plain, self._adapter())

    def _adapter(self) -> AUAdapter:
        if self.start is None:
            return AUAdapter.for_unet(
                self.pipeline.unet,
                units=self.units,
                encoder=self.encoder or self.own_encoder,
                lora_rank=LORA_RANK if self.lora_rank is None else self.lora_rank,
                sides=self.sides,
                **self._base(),
            )
        known = load_adapter(self.start)
        for name in ("encoder", "lora_rank"):
            asked, found = getattr(self, name), getattr(known.config, name)
            if asked not in (None, found):
                raise ValueError(f"{self.start} has the {name} {found}: ask for it, or for none")
        try:
            adapter = widen_adapter(known, self.units, self.sides).with_calibration(None)
        except ValueError as error:
            raise ValueError(f"{self.start}: {error}") from error
        adapter.config = replace(adapter.config, **self._base())
        return adapter

    def _base(self) -> dict[str, str]:
        """What an adapter's file says of its base."""
        predicted = self.pipeline.scheduler.config.prediction_type
        return {"base": base_name(self.base), "prediction": predicted}

    def pipeline_inputs(self, module: AdapterLoss, cases: Sequence[Case]) -> dict:
        weight = next(module.adapter.encoder.parameters(), torch.zeros(()))
        values = self.values(cases).to(weight)
        encode = module.adapter.encoder
        return {
            **super().pipeline_inputs(module, cases),
            "au_tokens": (encode(torch.zeros_like(values)), encode(values)),
        }

    def save(self, module: AdapterLoss, folder: Path) -> None:
        module.adapter.lora = collect_lora(module.unet)
        module.adapter.provenance = dict(self.provenance)
        save_adapter(module.adapter, folder / "adapter.safetensors")
