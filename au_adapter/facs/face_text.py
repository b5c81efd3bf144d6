"""A face as English text, for any model that reads prompts, and such a text back to AUs.

This is VQ-AUFace's Dynamic AU Text Processor. The words of intensity, the sides, the short wording
and the token limit are ours: the paper's labels say only which AUs are there. The paper reads texts
with a trained classifier (T5 and a perceptron, F1 0.731); ours are looked up, and so read exactly.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from .constructs import TEXTS, Construct, allocate, constructs
from .notation import DEFAULT_INTENSITY, LETTERS
from .vector import AUVector

WORDINGS = ("anatomical", "short")
#: FACS's A..E, trace to maximum, as adverbs.
ADVERBS = ("faintly", "slightly", "markedly", "strongly", "extremely")
NEUTRAL = {"anatomical": "The face is relaxed.", "short": "relaxed face"}
CLIP_TOKENS = 75  # of CLIP's 77, two are its begin and its end

_PIECES = re.compile(r"'s|[a-z]+|[^\sa-z]", re.IGNORECASE)
_ADVERB = re.compile(rf"\b({'|'.join(ADVERBS)}) ")
_SIDE = re.compile(r"\b(left|right)\b")
_SLOT = re.compile(r"\{(\d+)\} ")


@dataclass(frozen=True)
class FaceText:
    """A text, its constructs with their side ("both", "left" or "right"), and a sentence on each
    thing it leaves out."""

    text: str
    parts: tuple[tuple[str, Construct], ...]
    left_out: tuple[str, ...] = ()


def describe(
    vector: AUVector,
    policy: str = "paper",
    wording: str = "anatomical",
    intensity_words: bool = True,
    seed: int = 0,
    token_limit: int = 0,
) -> str:
    """One face as English text; see `face_text`, which also tells what the text leaves out."""
    return face_text(vector, policy, wording, intensity_words, seed, token_limit).text


def face_text(
    vector: AUVector,
    policy: str = "paper",
    wording: str = "anatomical",
    intensity_words: bool = True,
    seed: int = 0,
    token_limit: int = 0,
) -> FaceText:
    """One face as English text that `AUVector.from_text` reads back.

    policy: "paper" or "strict", see `constructs.allocate`. wording: "anatomical", a sentence for
    each construct, one of five by `seed`; or "short", a few words for each. intensity_words: say
    how strong, in the five steps A..E that FACS has, to which intensities are rounded; otherwise
    only that an AU is there. token_limit: of CLIP's tokens at most so many, 75 for its window of
    77; AUs are dropped, weakest first, until the text fits; 0 for no limit. ValueError for a vector
    of several faces, another policy or wording, or a limit below 0.
    """
    if len(vector) != 1:
        raise ValueError(f"a text describes one face, not {len(vector)}: take vector.face(i)")
    if wording not in WORDINGS:
        raise ValueError(f"there is no wording {wording!r}; expected {' or '.join(WORDINGS)}")
    if token_limit < 0:
        raise ValueError(f"the token limit is {token_limit}; expected 0 for none, or more")
    left, right, left_out = _levels(vector)
    while True:
        parts = _parts(left, right, policy, intensity_words)
        said = {"both": left, "left": left, "right": right} if intensity_words else {}
        sentences = [_sentence(e, side, said.get(side, {}), wording, seed) for side, e in parts]
        joined = " ".join(sentences) if wording == "anatomical" else ", ".join(sentences)
        text = joined or NEUTRAL[wording]
        if not token_limit or count_tokens(text) <= token_limit or not parts:
            return FaceText(text, tuple(parts), tuple(left_out))
        left_out.append(_drop_weakest(left, right, token_limit))


def count_tokens(text: str) -> int:
    """Tokens that CLIP makes of a text written here, without its begin and its end.

    Exact for our texts, in which every word is known; about right for others.
    """
    return sum(_split_words().get(piece.lower(), 1) for piece in _PIECES.findall(text))


@cache
def _split_words() -> Mapping[str, int]:
    return json.loads(TEXTS.read_text(encoding="utf-8"))["clip_tokens"]


def _levels(vector: AUVector) -> tuple[dict[int, int], dict[int, int], list[str]]:
    """Intensities of the left and the right half in steps 1..5, and what steps cannot express."""
    sides: tuple[dict[int, int], dict[int, int]] = ({}, {})
    left_out = []
    for code, value in vector.dict().items():
        step = min(int(value + 0.5), len(ADVERBS)) if value > 0 else 0
        if value < 0:
            left_out.append(f"AU{code} is {value:g}: a text cannot say less than none")
        elif not step:
            left_out.append(f"AU{code} is {value:g}, less than half a trace")
        elif value > len(ADVERBS):
            left_out.append(f"AU{code} is {value:g}: the text says the most there is, 5")
        if step:
            for prefix, levels in zip("LR", sides, strict=True):
                if code.isdigit() or code[0] == prefix:
                    levels[int(code.lstrip("LR"))] = step
    return *sides, left_out


def _parts(
    left: dict[int, int], right: dict[int, int], policy: str, intensity_words: bool
) -> list[tuple[str, Construct]]:
    """Constructs of both halves alike, then of the left, then of the right half alone."""
    ours, others = allocate(left, policy), allocate(right, policy)
    alike = [
        entry
        for entry in ours
        if entry in others
        and not (intensity_words and any(left[n] != right[n] for n in entry.units))
    ]
    return [
        *(("both", entry) for entry in alike),
        *(("left", entry) for entry in ours if entry not in alike),
        *(("right", entry) for entry in others if entry not in alike),
    ]


def _sentence(
    entry: Construct, side: str, levels: Mapping[int, int], wording: str, seed: int
) -> str:
    if wording == "short":
        text = entry.short if side == "both" else entry.short_one_side
    elif side == "both":
        # By the seed and the construct alone: moving one AU leaves the other sentences as they are.
        digest = hashlib.sha256(f"{seed} {entry.name}".encode()).digest()
        text = entry.wordings[digest[0] % len(entry.wordings)]
    else:
        text = entry.one_side
    for number in entry.units:
        adverb = f"{ADVERBS[levels[number] - 1]} " if number in levels else ""
        text = text.replace(f"{{{number}}} ", adverb)
    return text.replace("{side}", side)


def _drop_weakest(left: dict[int, int], right: dict[int, int], limit: int) -> str:
    """Remove the weakest AU, of equals the last one, from both halves; a sentence that says so."""
    strength = {n: max(left.get(n, 0), right.get(n, 0)) for n in sorted({*left, *right})}
    weakest = min(reversed(strength), key=strength.__getitem__)
    left.pop(weakest, None)
    right.pop(weakest, None)
    letter = [*LETTERS][strength[weakest] - 1]
    return f"AU{weakest}{letter} did not fit into {limit} tokens"


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
