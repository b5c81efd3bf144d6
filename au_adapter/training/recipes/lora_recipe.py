"""FineFace's two LoRA baselines: AUs as text (LoRA-T), or as a token of the text (LoRA-AU).

Both train a LoRA on every attention of the UNet and nothing else of it (section 5.1, Baseline
methods). How the paper words the AUs, and how it projects them, is not published: `au_text` and
one token from an AU encoder are ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline
from peft import LoraConfig, get_peft_model_state_dict
from safetensors.torch import save_file
from torch import Tensor

from ...facs import AUVector
from ...methods.base_generator import BaseGenerator
from ...methods.sampling import Predict, guided
from ...methods.words_generator import WordsGenerator, au_text
from ...models.adapter import FINEFACE_ALPHA, LORA_TARGETS
from ...models.encoders import build_encoder
from ..labelled import tokenize
from ..settings import Settings
from .conditioned import AdaptedRecipe, ConditionedLoss
from .fineface_recipe import SETTINGS as FINEFACE

SETTINGS: Settings = FINEFACE
LORA_NAME = "au_baseline"


class LoRALoss(ConditionedLoss):
    """A frozen base with a LoRA, conditioned on text."""

    def __init__(self, pipeline: StableDiffusionPipeline, plain: bool, rank: int):
        super().__init__(pipeline, plain)
        self.unet.add_adapter(
            LoraConfig(
                r=rank,
                lora_alpha=FINEFACE_ALPHA,
                init_lora_weights="gaussian",
                target_modules=list(LORA_TARGETS),
            ),
            adapter_name=LORA_NAME,
        )


class TokenLoss(LoRALoss):
    """The same with AUs as one more token of the text."""

    def __init__(
        self, pipeline: StableDiffusionPipeline, plain: bool, rank: int, encoder: str, units: int
    ):
        super().__init__(pipeline, plain, rank)
        width = pipeline.unet.config.cross_attention_dim
        self.encoder = build_encoder(encoder, units, width)

    def condition(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        return self.with_aus(self.read_text(batch["tokens"]), batch["aus"]), {}

    def with_aus(self, text: Tensor, aus: Tensor) -> Tensor:
        """Text [N, T, width] and the token of AUs [N, K] after it."""
        return torch.cat([text, self.encoder(aus).to(text)], dim=1)


@dataclass(frozen=True, kw_only=True)
class TokenGenerator(BaseGenerator):
    """A generator of LoRA-AU: the token of AUs behind the text, also without condition."""

    loss: TokenLoss

    @contextmanager
    def predictor(self, prompts: Sequence[str], aus: AUVector, steps: int) -> Iterator[Predict]:
        values = aus.values.to(next(self.loss.encoder.parameters()))
        rows = ([""] * len(prompts), torch.zeros_like(values)), (prompts, values)
        with torch.no_grad():
            text = torch.cat([self._text(*row) for row in rows])
        yield guided(self.loss.unet, {"encoder_hidden_states": text}, self.guidance)

    def _text(self, prompts: Sequence[str], values: Tensor) -> Tensor:
        tokens = tokenize(self.pipeline.tokenizer, list(prompts)).to(values.device)
        return self.loss.with_aus(self.loss.read_text(tokens), values)


class LoRATextRecipe(AdaptedRecipe):
    """LoRA-T: captions say the AUs. Saves a LoRA as diffusers reads it."""

    draws = WordsGenerator

    def __init__(
        self,
        data: list[Path],
        base: str | Path | None = None,
        lora_rank: int = 32,
        **keywords: object,
    ):
        self.lora_rank = lora_rank
        super().__init__(data, base, **keywords)

    def make_module(self, plain: bool) -> LoRALoss:
        return LoRALoss(self.pipeline, plain, self.lora_rank)

    def text(self, caption: str, aus: Tensor) -> str:
        return au_text(caption, aus, self.units)

    def save(self, module: LoRALoss, folder: Path) -> None:
        save_lora(module, folder)


class LoRAAURecipe(LoRATextRecipe):
    """LoRA-AU: an encoder puts the AUs into the text's space. Saves the LoRA and the encoder."""

    draws = TokenGenerator

    def __init__(
        self,
        data: list[Path],
        base: str | Path | None = None,
        lora_rank: int = 32,
        encoder: str = "mlp",
        **keywords: object,
    ):
        self.encoder = encoder
        super().__init__(data, base, lora_rank, **keywords)

    def make_module(self, plain: bool) -> TokenLoss:
        return TokenLoss(self.pipeline, plain, self.lora_rank, self.encoder, len(self.units))

    def text(self, caption: str, aus: Tensor) -> str:
        return caption

    def generator(self, module: TokenLoss, *arguments: int) -> BaseGenerator:
        return super().generator(module, *arguments, loss=module)

    def save(self, module: TokenLoss, folder: Path) -> None:
        save_lora(module, folder)
        tensors = {k: v.detach().cpu().contiguous() for k, v in module.encoder.state_dict().items()}
        described = {"encoder": self.encoder, "units": " ".join(map(str, self.units))}
        save_file(tensors, folder / "au_encoder.safetensors", metadata=described)


def save_lora(module: LoRALoss, folder: Path) -> None:
    """Write pytorch_lora_weights.safetensors for StableDiffusionPipeline.load_lora_weights."""
    config = module.unet.peft_config[LORA_NAME]
    StableDiffusionPipeline.save_lora_weights(
        folder,
        unet_lora_layers=get_peft_model_state_dict(module.unet, adapter_name=LORA_NAME),
        unet_lora_adapter_metadata={
            "r": config.r,
            "lora_alpha": config.lora_alpha,
            "target_modules": list(LORA_TARGETS),
        },
    )
