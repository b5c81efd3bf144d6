"""A base that begins with the words of another's text encoder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import CLIPTextModel, CLIPTokenizer

from au_adapter.training.recipes.base_recipe import BaseOptions, adopt_words, make_text_encoder
from au_adapter.training.tokenizer import write_tokenizer

WORDS = ["a", "man", "red", "background"]


def text_side(words: list[str], folder: Path) -> tuple[CLIPTextModel, CLIPTokenizer]:
    """A text encoder for a vocabulary of words, which lies in a folder as a base has it."""
    write_tokenizer(words, folder / "tokenizer")
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    encoder = make_text_encoder(tokenizer)
    save_file(encoder.state_dict(), folder / "text_encoder.safetensors")
    return encoder, tokenizer


def test_words_are_found_by_their_names(tmp_path: Path) -> None:
    """Other words beside them move the rows of a vocabulary; all but new words is taken over."""
    _, known = text_side([*WORDS, "beard"], tmp_path / "known")
    encoder, own = text_side([*WORDS, "curly", "eyes"], tmp_path / "own")
    theirs = load_file(tmp_path / "known" / "text_encoder.safetensors")
    before = encoder.state_dict()
    (name,) = (name for name in before if name.endswith("token_embedding.weight"))
    new = before[name].clone()
    adopt_words(encoder, own, tmp_path / "known")
    found, rows, known_rows = encoder.state_dict(), own.get_vocab(), known.get_vocab()
    assert rows["red</w>"] != known_rows["red</w>"]
    for word in WORDS:
        row = rows[f"{word}</w>"]
        assert torch.equal(found[name][row], theirs[name][known_rows[f"{word}</w>"]])
    assert torch.equal(found[name][rows["curly</w>"]], new[rows["curly</w>"]])
    assert all(torch.equal(found[key], theirs[key]) for key in found if key != name)


def test_words_beside_a_start_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="leave words out"):
        BaseOptions(autoencoder=tmp_path, start=tmp_path, words=tmp_path)
