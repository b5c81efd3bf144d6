"""The bundled model's tokenizer: CLIP's algorithm, a small vocabulary, a token per caption word."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path

from tokenizers.pre_tokenizers import ByteLevel

START, END = "<|startoftext|>", "<|endoftext|>"
MAX_LENGTH = 77


def write_tokenizer(words: list[str], folder: Path) -> None:
    """Write vocab.json, merges.txt and tokenizer_config.json that CLIPTokenizer reads.

    Bytes come first, alone and as word ends, so that any text can be encoded; then the merges that
    make each of the words one token (a hyphen and the words around it: one each).
    """
    folder.mkdir(parents=True, exist_ok=True)
    merges = _merges(words)
    alphabet = sorted(ByteLevel.alphabet())
    tokens = alphabet + [c + "</w>" for c in alphabet] + ["".join(pair) for pair in merges]
    vocabulary = {token: i for i, token in enumerate([*dict.fromkeys(tokens), START, END])}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    described = {
        "tokenizer_class": "CLIPTokenizer",
        "model_max_length": MAX_LENGTH,
        "bos_token": START,
        "eos_token": END,
        "unk_token": END,
        "pad_token": END,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(described, indent=1))


def _merges(words: list[str]) -> list[tuple[str, str]]:
    """Byte-pair merges until every word is one token: the most frequent pair first.

    Equally frequent pairs go by the age of their parts: letters, then word ends from the frequent
    to the rare, then what was merged. The trainer of the tokenizers package orders word ends by
    lot, so that from one process to the next even a word of a caption may get another id.
    """
    pieces = sorted({piece for word in words for piece in word.replace("-", " - ").split()})
    split = [[*piece[:-1], f"{piece[-1]}</w>"] for piece in pieces]
    letters = sorted({letter for piece in pieces for letter in piece})
    ends = Counter(sorted(word[-1] for word in split)).most_common()
    age = {symbol: n for n, symbol in enumerate([*letters, *(end for end, _ in ends)])}
    merges = []
    while counts := Counter(pair for word in split for pair in pairwise(word)):
        best = min(counts, key=lambda pair: (-counts[pair], age[pair[0]], age[pair[1]]))
        merges.append(best)
        age.setdefault("".join(best), len(age))
        split = [_merged(word, best) for word in split]
    return merges


def _merged(word: list[str], pair: tuple[str, str]) -> list[str]:
    merged: list[str] = []
    for symbol in word:
        if merged and (merged[-1], symbol) == pair:
            merged[-1] += symbol
        else:
            merged.append(symbol)
    return merged
