"""FineFace: an AU encoder, values in every cross-attention and a LoRA learn on a frozen base.

What suits each kind of base, FineFace's own numbers for Stable Diffusion among it, is in `bases`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ...bases import EncodedText
from ...methods.adapter_generator import AdapterGenerator
from ...models.adapter import AUAdapter
from ...models.diffusers_unet import collect_lora, train_on_unet
from ...models.encoders import TOKEN_ENCODERS
from ...models.widening import widen_adapter
from ...weights.adapter_files import load_adapter, save_adapter
from ..settings import require_word
from ..side_loss import SideLoss
from .conditioned import AdaptedRecipe, ConditionedLoss, ConditionedOptions

LORA_RANK = 32
SIDE_WEIGHT = 0.05  # of `SideLoss` beside the noise error


@dataclass(frozen=True)
class FineFaceOptions(ConditionedOptions):
    """Options of FineFace.

    encoder: a name in TOKEN_ENCODERS; None: the start's, else the base family's.
    lora_rank: 0 for no LoRA; None: the start's, else 32.
    start: an adapter file of the same base to continue from; it may know fewer AUs, and both sides
        alike. Its response curves are dropped: they belong to its weights.
    sides: learn left and right apart.
    """

    encoder: str | None = None
    lora_rank: int | None = None
    start: str | Path | None = None
    sides: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.encoder is not None:
            require_word("encoder", self.encoder, TOKEN_ENCODERS)


class AdapterLoss(ConditionedLoss):
    """Noise error of the adapted, otherwise frozen base; with sides, `SideLoss` besides."""

    def __init__(self, *base: Any, adapter: AUAdapter):
        super().__init__(*base)
        self.adapter = adapter
        train_on_unet(self.unet, adapter)
        self.sides = SideLoss(self.unet, adapter) if adapter.config.sides else None

    def passes_gradients(self) -> list[nn.Module]:
        """The UNet, also without a LoRA: gradients reach the adapter through it."""
        return [self.unet]

    def error(self, *arguments: Any) -> Tensor:
        if self.sides is None:
            return super().error(*arguments)
        self.sides.begin()
        noise_error = super().error(*arguments)
        return noise_error + SIDE_WEIGHT * self.sides.mean()

    def condition(self, batch: dict[str, Tensor]) -> tuple[EncodedText, dict[str, Tensor]]:
        text = self.encode_text(batch["tokens"])
        return text, {"au_tokens": self.adapter.encoder(batch["aus"])}


class FineFaceRecipe(AdaptedRecipe):
    """Trains an AU-Adapter and saves it as adapter.safetensors."""

    Options = FineFaceOptions
    provenance: Mapping[str, Any] = {}
    draws = AdapterGenerator

    def __init__(self, data: list[Path], options: FineFaceOptions):
        self.sides = options.sides
        super().__init__(data, options)

    def make_module(self, plain: bool) -> AdapterLoss:
        return AdapterLoss(self.family, self.pipeline, plain, adapter=self._adapter())

    def _adapter(self) -> AUAdapter:
        options = self.options
        base = {
            "base": self.family.base_name(self.base.resolve()),
            "prediction": self.pipeline.scheduler.config.prediction_type,
        }
        if options.start is None:
            return AUAdapter.for_unet(
                self.pipeline.unet,
                units=self.units,
                encoder=options.encoder or self.family.au_encoder,
                lora_rank=LORA_RANK if options.lora_rank is None else options.lora_rank,
                sides=self.sides,
                **base,
            )
        known = load_adapter(options.start)
        for name in ("encoder", "lora_rank"):
            asked, found = getattr(options, name), getattr(known.config, name)
            if asked not in (None, found):
                raise ValueError(f"{options.start} has the {name} {found}: ask for it, or for none")
        try:
            adapter = widen_adapter(known, self.units, self.sides).with_calibration(None)
        except ValueError as error:
            raise ValueError(f"{options.start}: {error}") from error
        adapter.config = replace(adapter.config, **base)
        return adapter

    def generator(self, module: AdapterLoss, *arguments: int) -> AdapterGenerator:
        return super().generator(module, *arguments, adapter=module.adapter, installed=True)

    def save(self, module: AdapterLoss, folder: Path) -> None:
        module.adapter.lora = collect_lora(module.unet)
        module.adapter.provenance = dict(self.provenance)
        save_adapter(module.adapter, folder / "adapter.safetensors")
