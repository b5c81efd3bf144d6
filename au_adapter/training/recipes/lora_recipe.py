"""FineFace's two LoRA baselines: AUs as text (LoRA-T), or as a token of the text (LoRA-AU).

Both train a LoRA on every attention of the UNet and nothing else of it (section 5.1, Baseline
methods). The paper publishes neither how it words the AUs nor how it projects them: `au_text` and
one token from an AU encoder are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peft import get_peft_model_state_dict
from torch import Tensor

from ...bases import EncodedText
from ...methods.base_generator import BaseGenerator
from ...methods.baselines import AU_ENCODER, LoRATextGenerator, TokenGenerator, with_token
from ...models.adapter import FINEFACE_ALPHA, LORA_TARGETS
from ...models.diffusers_unet import add_lora
from ...models.encoders import TOKEN_ENCODERS, build_encoder
from ...weights.tensors import write_tensors
from ..settings import check_options, require_word
from .conditioned import AdaptedRecipe, ConditionedLoss, ConditionedOptions

LORA_NAME = "au_baseline"


@dataclass(frozen=True)
class LoRATextOptions(ConditionedOptions):
    """Options of LoRA-T. lora_rank: of the LoRA, at least 1."""

    lora_rank: int = 32

    def __post_init__(self) -> None:
        check_options(self, lora_rank=1)
        super().__post_init__()


@dataclass(frozen=True)
class LoRAAUOptions(LoRATextOptions):
    """Options of LoRA-AU. encoder: a name in TOKEN_ENCODERS."""

    encoder: str = "mlp"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_word("encoder", self.encoder, TOKEN_ENCODERS)


class LoRALoss(ConditionedLoss):
    """A frozen base with a LoRA, conditioned on text."""

    def __init__(self, *arguments: Any):
        super().__init__(*arguments)
        add_lora(self.unet, self.options.lora_rank, FINEFACE_ALPHA, LORA_NAME)


class TokenLoss(LoRALoss):
    """The same with AUs as one more token of the text."""

    def __init__(self, *arguments: Any):
        super().__init__(*arguments)
        width = self.unet.config.cross_attention_dim
        self.encoder = build_encoder(self.options.encoder, len(self.options.units), width)

    def condition(self, batch: dict[str, Tensor]) -> tuple[EncodedText, dict[str, Tensor]]:
        return with_token(self.encode_text(batch["tokens"]), self.encoder(batch["aus"])), {}


class LoRATextRecipe(AdaptedRecipe):
    """LoRA-T: captions say the AUs. Saves a LoRA as diffusers reads it."""

    Options = LoRATextOptions
    loss, draws, worded = LoRALoss, LoRATextGenerator, True

    def save(self, module: LoRALoss, folder: Path) -> None:
        """pytorch_lora_weights.safetensors, for `load_lora_weights` of the base's pipeline."""
        config = module.unet.peft_config[LORA_NAME]
        self.pipeline.save_lora_weights(
            folder,
            unet_lora_layers=get_peft_model_state_dict(module.unet, adapter_name=LORA_NAME),
            unet_lora_adapter_metadata={
                "r": config.r,
                "lora_alpha": config.lora_alpha,
                "target_modules": list(LORA_TARGETS),
            },
        )


class LoRAAURecipe(LoRATextRecipe):
    """LoRA-AU: an encoder puts the AUs into the text's space. Saves the LoRA and the encoder."""

    Options = LoRAAUOptions
    loss, draws, worded = TokenLoss, TokenGenerator, False

    def generator(self, module: TokenLoss, *arguments: int) -> BaseGenerator:
        return super().generator(module, *arguments, encoder=module.encoder, known=self.units)

    def save(self, module: TokenLoss, folder: Path) -> None:
        super().save(module, folder)
        described = {"encoder": self.options.encoder, "units": " ".join(map(str, self.units))}
        write_tensors(folder / AU_ENCODER, module.encoder.state_dict(), described)
