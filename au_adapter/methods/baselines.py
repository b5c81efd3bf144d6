"""FineFace's trained baselines (section 5.1), by what their recipes leave: a LoRA or a whole UNet.

au-adapter train --recipe lora-au --data faces --set base=sd21 --output runs/lora
au-adapter evaluate fineface --method lora-au --model sd21 --set trained=runs/lora/result ...
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from diffusers import DiffusionPipeline
from torch import Tensor, nn

from ..bases import EncodedText, family_of
from ..facs import AUVector
from ..models.encoders import build_encoder
from ..weights.tensors import read_metadata, read_tensors
from .base_generator import BaseGenerator, named, open_pipeline
from .method import settings_of
from .sampling import Predict, guided, told
from .words_generator import WordsGenerator

LORA = "pytorch_lora_weights.safetensors"
AU_ENCODER = "au_encoder.safetensors"


class LoRATextGenerator(WordsGenerator):
    """LoRA-T: the AUs as words in the prompt, and a LoRA that learnt to read them."""

    name: ClassVar[str] = "LoRA-T"


class DreamBoothGenerator(WordsGenerator):
    """DreamBooth: the AUs as words in the prompt, and a UNet that learnt to read them."""

    name: ClassVar[str] = "DreamBooth"


@dataclass(frozen=True, kw_only=True)
class TokenGenerator(BaseGenerator):
    """LoRA-AU: a token of AUs behind the text, also without condition, and a LoRA.

    encoder: AUs [N, K] -> a token [N, 1, width]; known: those AUs.
    """

    encoder: nn.Module
    known: tuple[int, ...]

    name: ClassVar[str] = "LoRA-AU"

    @property
    def units(self) -> tuple[int, ...]:
        return self.known

    @contextmanager
    def predictor(self, prompts: Sequence[str], aus: AUVector, steps: int) -> Iterator[Predict]:
        unet = self.pipeline.unet
        values = aus.dense(self.known).to(unet.device, unet.dtype)
        texts = [
            self._text([""] * len(prompts), torch.zeros_like(values)),
            self._text(prompts, values),
        ]
        yield guided(unet, told(texts[0].joined(texts[1])), self.guidance)

    @torch.no_grad()
    def _text(self, prompts: Sequence[str], values: Tensor) -> EncodedText:
        family = family_of(self.pipeline)
        tokens = family.tokenize(self.pipeline, prompts).to(values.device)
        return with_token(family.encode_text(self.pipeline, tokens), self.encoder(values))


def with_token(text: EncodedText, token: Tensor) -> EncodedText:
    """Text [N, T, width], and a token [N, 1, width] of AUs after it."""
    return replace(text, states=torch.cat([text.states, token.to(text.states)], dim=1))


@settings_of(LoRATextGenerator)
def open_lora_text(
    trained: str | Path | None = None,
    model: str | Path | None = None,
    device: str | None = None,
    half: bool = False,
    tokenizer: str | Path | None = None,
    **settings: Any,
) -> LoRATextGenerator:
    """trained: the folder `result` of a run of the recipe. model, device, half, tokenizer: of the
    base that it was trained on, see `open_pipeline`. settings: of `BaseGenerator`."""
    folder = _result(trained, "lora-text", LORA)
    pipeline = open_pipeline(model, device, half, tokenizer)
    _load_lora(pipeline, folder)
    return LoRATextGenerator(pipeline=pipeline, base=named(model), **settings)


@settings_of(TokenGenerator)
def open_lora_au(
    trained: str | Path | None = None,
    model: str | Path | None = None,
    device: str | None = None,
    half: bool = False,
    tokenizer: str | Path | None = None,
    **settings: Any,
) -> TokenGenerator:
    """As `open_lora_text`, with the AU encoder in the same folder."""
    folder = _result(trained, "lora-au", LORA, AU_ENCODER)
    pipeline = open_pipeline(model, device, half, tokenizer)
    _load_lora(pipeline, folder)
    unet, file = pipeline.unet, folder / AU_ENCODER
    described = read_metadata(file)
    units = tuple(map(int, described["units"].split()))
    encoder = build_encoder(described["encoder"], len(units), unet.config.cross_attention_dim)
    encoder.load_state_dict(read_tensors(file))
    encoder.requires_grad_(False).to(unet.device, unet.dtype)
    return TokenGenerator(
        pipeline=pipeline, base=named(model), encoder=encoder, known=units, **settings
    )


@settings_of(DreamBoothGenerator)
def open_dreambooth(
    trained: str | Path | None = None,
    model: str | Path | None = None,
    device: str | None = None,
    half: bool = False,
    tokenizer: str | Path | None = None,
    **settings: Any,
) -> DreamBoothGenerator:
    """As `open_lora_text`. On the bundled model the recipe leaves a whole base, and `model` means
    nothing."""
    if trained is not None and (Path(trained) / "unet.safetensors").is_file():
        pipeline = open_pipeline(trained, device, half)
        return DreamBoothGenerator(pipeline=pipeline, base=named(trained), **settings)
    folder = _result(trained, "dreambooth", "unet/config.json")
    pipeline = open_pipeline(model, device, half, tokenizer)
    old = pipeline.unet
    unet = type(old).from_pretrained(
        folder, subfolder="unet", local_files_only=True, use_safetensors=True
    )
    ours, base = (found.config.cross_attention_dim for found in (unet, old))
    if ours != base:
        raise ValueError(
            f"the UNet in {folder} reads text of width {ours} and {named(model)} encodes it to "
            f"{base}: give the base that it was trained from as model"
        )
    pipeline.unet = unet.requires_grad_(False).to(old.device, old.dtype)
    return DreamBoothGenerator(pipeline=pipeline, base=named(model), **settings)


def _load_lora(pipeline: DiffusionPipeline, folder: Path) -> None:
    unet = pipeline.unet
    device, dtype = unet.device, unet.dtype
    try:
        pipeline.load_lora_weights(folder, weight_name=LORA, local_files_only=True)
    except RuntimeError as error:  # sizes that differ
        raise ValueError(
            f"{folder / LORA} does not fit the base {type(pipeline).__name__}: give the one that "
            f"it was trained on as model ({error})"
        ) from error
    unet.requires_grad_(False).to(device, dtype)


def _result(trained: str | Path | None, recipe: str, *names: str) -> Path:
    """The result folder of a recipe, which holds the files of those names."""
    if trained is None:
        raise ValueError(
            f"The method {recipe} needs the option trained: the folder result of a run of "
            f"`au-adapter train --recipe {recipe}`"
        )
    for name in names:
        if not (Path(trained) / name).is_file():
            raise FileNotFoundError(
                f"There is no {Path(trained) / name}: trained is the folder result of a run of "
                f"`au-adapter train --recipe {recipe}`"
            )
    return Path(trained)
