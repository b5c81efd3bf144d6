"""AUs as words in the prompt: what a base makes of them that nobody trained for it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor

from ..facs import AUVector
from .base_generator import BaseGenerator, named, open_pipeline
from .method import settings_of
from .sampling import Predict

SHOWN = 0.05  # intensities below are not worth a word


class WordsGenerator(BaseGenerator):
    """A Generator that writes the AUs behind the prompt, see `au_text`."""

    name: ClassVar[str] = "AUs as words"

    def predictor(
        self, prompts: Sequence[str], aus: AUVector, steps: int
    ) -> AbstractContextManager[Predict]:
        texts = [au_text(p, row, aus.units) for p, row in zip(prompts, aus.values, strict=True)]
        return super().predictor(texts, aus, steps)


def au_text(caption: str, aus: Tensor, units: Sequence[int]) -> str:
    """A prompt with AUs in it: "a man, AU12 3.1, AU6 2.0", the strongest first, as text is cut off
    at its end. aus [K] in the order of units."""
    values = sorted(zip(aus.tolist(), units, strict=True), reverse=True)
    words = [f"AU{unit} {value:.1f}" for value, unit in values if value >= SHOWN]
    return ", ".join(filter(None, [caption, *words]))


@settings_of(WordsGenerator)
def open_words(
    model: str | Path | None = None,
    device: str | None = None,
    half: bool = False,
    tokenizer: str | Path | None = None,
    **settings: Any,
) -> WordsGenerator:
    """See `open_pipeline`; settings: of `BaseGenerator`."""
    pipeline = open_pipeline(model, device, half, tokenizer)
    return WordsGenerator(pipeline=pipeline, base=named(model), **settings)
