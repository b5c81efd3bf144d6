"""The demo model's tokenizer: one token a caption word, and any other text still has ids."""

from __future__ import annotations

import json
import re
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import CLIPTokenizer

from au_adapter.bases.family import pad_and_tokenize
from au_adapter.data.rendered import SAMPLE
from au_adapter.data.rendering.captions import vocabulary
from au_adapter.training.tokenizer import END, MAX_LENGTH, START, write_tokenizer

FILES = ("vocab.json", "merges.txt", "tokenizer_config.json")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(vocabulary(), folder)
    return folder


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> CLIPTokenizer:
    return CLIPTokenizer.from_pretrained(folder)


def captions() -> list[str]:
    """Of the committed sample."""
    found = []
    for shard in sorted(SAMPLE.glob("*.tar")):
        with tarfile.open(shard) as tar:
            labels = (entry for entry in tar if entry.name.endswith(".json"))
            found += [json.load(tar.extractfile(entry))["caption"] for entry in labels]
    return found


def words(text: str) -> list[str]:
    return re.findall(r"[a-z]+|[^a-z\s]", text)


def test_every_word_of_the_vocabulary_is_one_token(tokenizer: CLIPTokenizer) -> None:
    for word in vocabulary():
        tokens = tokenizer.tokenize(word)
        assert tokens == [f"{part}</w>" for part in words(word)]


def test_captions_have_a_token_for_each_word(tokenizer: CLIPTokenizer) -> None:
    texts = captions()
    assert len(texts) == 240
    for text in texts:
        assert tokenizer.tokenize(text) == [f"{word}</w>" for word in words(text)], text
        assert len(words(text)) <= MAX_LENGTH - 2


@settings(max_examples=60, deadline=None)
@given(text=st.text(max_size=20).filter(lambda text: "<|" not in text))
def test_any_text_has_ids_of_its_own(tokenizer: CLIPTokenizer, text: str) -> None:
    ids = tokenizer(text).input_ids
    special = tokenizer.convert_tokens_to_ids([START, END])
    assert [ids[0], ids[-1]] == special
    assert not {*ids[1:-1]} & {*special}  # END is also what an unknown byte would become


def test_foreign_text_can_be_read_back(tokenizer: CLIPTokenizer) -> None:
    text = "zzqx 微笑"
    ids = tokenizer(text).input_ids
    assert tokenizer.decode(ids, skip_special_tokens=True).strip() == text


def test_ids_are_equal_on_reload(tokenizer: CLIPTokenizer, folder: Path, tmp_path: Path) -> None:
    write_tokenizer([*reversed(vocabulary()), "young"], tmp_path)  # order and repeats do not count
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()
    again = CLIPTokenizer.from_pretrained(tmp_path)
    assert len(again) == len(tokenizer)
    for text in [*captions()[:20], "Grüße, zzqx!"]:
        assert again(text).input_ids == tokenizer(text).input_ids


def test_ids_are_a_gapless_range_that_ends_with_the_special_tokens(
    tokenizer: CLIPTokenizer, folder: Path
) -> None:
    ids = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    assert sorted(ids.values()) == list(range(len(tokenizer)))
    assert [ids[START], ids[END]] == [len(tokenizer) - 2, len(tokenizer) - 1]


def test_caption_words_keep_the_ids_of_trained_models(tokenizer: CLIPTokenizer) -> None:
    words = ["of</w>", "on</w>", "up</w>", "young</w>", "woman</w>", "an</w>"]
    assert tokenizer.convert_tokens_to_ids(words) == [623, 622, 653, 733, 659, 518]


def test_rows_are_77_long(tokenizer: CLIPTokenizer) -> None:
    rows = pad_and_tokenize(tokenizer, ["", "a young man", "young " * 100])
    start, end = tokenizer.convert_tokens_to_ids([START, END])
    assert rows.shape == (3, 77) and MAX_LENGTH == tokenizer.model_max_length == 77
    assert rows[0].tolist() == [start] + [end] * 76
    assert rows[1, 4:].tolist() == [end] * 73 and end not in rows[1, :4]
    assert rows[2, -1] == end and end not in rows[2, :-1]
