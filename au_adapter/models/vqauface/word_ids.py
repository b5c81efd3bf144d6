"""Words <-> numbers for a text encoder that is trained from nothing on the texts of `facs`.

The words of a trained model are a part of it: texts that are rewritten later change no model.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import Tensor

from ...facs.constructs import constructs
from ...facs.face_text import ADVERBS, NEUTRAL

PADDING, END, UNKNOWN = 0, 1, 2  # as T5 numbers them
KNOWN = 0.5  # share of a text's words that a model must know
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?|[.,;]")
_SLOT = re.compile(r"\{(\d+|side)\}")


def words_of(text: str) -> list[str]:
    """Words in small letters, and the marks that part them."""
    return _WORD.findall(text.lower())


def processor_words() -> tuple[str, ...]:
    """Every word that `facs.face_text` can write, in order of the alphabet."""
    texts = [
        text
        for entry in constructs()
        for text in (*entry.wordings, entry.one_side, entry.short, entry.short_one_side)
    ]
    said = [_SLOT.sub(" ", text) for text in texts]
    return tuple(sorted({w for t in (*said, *NEUTRAL.values(), *ADVERBS, "left right")
                         for w in words_of(t)}))  # fmt: skip


class WordIds:
    """Texts -> ids of words, as a T5 tokenizer gives them: padded with 0, ended by 1."""

    def __init__(self, words: Sequence[str]):
        self.words = tuple(words)
        self._numbers = {word: number for number, word in enumerate(words, UNKNOWN + 1)}

    def __len__(self) -> int:
        return len(self.words) + UNKNOWN + 1

    def __call__(self, texts: Sequence[str], limit: int) -> Tensor:
        """Ids int64 [N, T] of texts, T at most `limit`: what is longer is cut off. ValueError for a
        text of mostly unknown words, which names some."""
        rows = [[*self._ids(text)[: limit - 1], END] for text in texts]
        longest = max(map(len, rows))
        return torch.tensor([row + [PADDING] * (longest - len(row)) for row in rows])

    def _ids(self, text: str) -> list[int]:
        words = words_of(text)
        strange = [word for word in words if word not in self._numbers]
        if len(strange) > KNOWN * len(words):
            raise ValueError(
                f"this model does not know {len(strange)} of the {len(words)} words of the text, "
                f"such as {strange[0]!r}: it reads English as AU Text writes it, so connect an AU "
                "vector or AU Text, or load a model with T5"
            )
        return [self._numbers.get(word, UNKNOWN) for word in words]
