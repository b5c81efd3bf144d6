"""The texts of `facs.face_text` back to Action Units, exactly: every sentence is looked up.

VQ-AUFace reads texts with a trained classifier (T5 and a perceptron, F1 0.731); texts written here
need none.
"""

from __future__ import annotations

import re
from functools import cache

from .constructs import constructs
from .face_text import ADVERBS, NEUTRAL
from .notation import DEFAULT_INTENSITY

_ADVERB = re.compile(rf"\b({'|'.join(ADVERBS)}) ")
_SIDE = re.compile(r"\b(left|right)\b")
_SLOT = re.compile(r"\{(\d+)\} ")


def read_sentence(sentence: str) -> dict[str, float] | None:
    """{code: intensity} of one sentence, or one entry of a short text, that `face_text` wrote; None
    for any other text. Without words of intensity, every AU is at C, 3."""
    sentence = sentence.strip().lower().removesuffix(".")
    if sentence in (text.lower().removesuffix(".") for text in NEUTRAL.values()):
        return {}
    adverbs, sides = _ADVERB.findall(sentence), _SIDE.findall(sentence)
    units = _units_in_texts().get(_SIDE.sub("{side}", _ADVERB.sub("", sentence)))
    if units is None or len(adverbs) not in (0, len(units)):
        return None
    steps = [ADVERBS.index(word) + 1.0 for word in adverbs] or [DEFAULT_INTENSITY] * len(units)
    side = sides[0][0].upper() if sides else ""
    return {f"{side}{number}": step for number, step in zip(units, steps, strict=True)}


@cache
def _units_in_texts() -> dict[str, tuple[int, ...]]:
    """Every text without its words of intensity -> the AUs in the order in which it names them."""
    return {
        _SLOT.sub("", text).lower().removesuffix("."): tuple(map(int, _SLOT.findall(text)))
        for entry in constructs()
        for text in (*entry.wordings, entry.one_side, entry.short, entry.short_one_side)
    }
