"""locales/: every word of every node in every language, none stale, none left in English."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from au_adapter_pack.nodes import NODES

from au_adapter.facs.presets import GROUPS, looks
from au_adapter.facs.units import PLACES
from tools.collect_words import LANGUAGES, LOCALES, fresh, read_words, words_of

PLAIN_NAMES = [unit for units in PLACES.values() for unit in units]
ENGLISH = {node.define_schema().node_id: words_of(node.GET_NODE_INFO_V1()) for node in NODES}
# Letters of which a translated sentence has some.
LETTERS = {"zh": r"[\u4e00-\u9fff]", "ja": r"[\u3040-\u30ff]", "ko": r"[\uac00-\ud7af]"}
# What no translation may lose: codes of AUs, names of files, values of widgets.
KEPT = re.compile(
    r"\bAU\d+|%\w+%|[\w/]+\.(?:safetensors|task|pth|csv|json|png)\b|\b\d+[A-E]\b", re.ASCII
)
KEPT_NAMES = re.compile(r"MagicFace|FineFace|AU-Adapter|LoRA|CFG|CLIP|VAE|FACS")


def _sentences(words: dict[str, Any], path: str = "") -> dict[str, str]:
    """All texts by where they stand, such as "AUA_AUVector.inputs.au1.tooltip"."""
    found: dict[str, str] = {}
    for key, value in words.items():
        here = f"{path}.{key}".lstrip(".")
        found |= _sentences(value, here) if isinstance(value, dict) else {here: value}
    return found


def _main(language: str) -> dict[str, Any]:
    return json.loads((LOCALES / language / "main.json").read_text(encoding="utf-8"))


def test_the_english_words_are_those_of_the_nodes() -> None:
    written, expected = _sentences(read_words("en")), _sentences(ENGLISH)
    stale = {key for key in written.keys() | expected if written.get(key) != expected.get(key)}
    assert not stale, f"run `python -m tools.collect_words`, then translate: {sorted(stale)}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_word_is_translated(language: str) -> None:
    words, english = _sentences(read_words(language)), _sentences(ENGLISH)
    assert sorted(english.keys() - words) == [], "missing"
    assert sorted(words.keys() - english) == [], "stale"


@pytest.mark.parametrize("language", LANGUAGES)
def test_sentences_are_in_their_language_and_keep_codes_and_names(language: str) -> None:
    english = _sentences(ENGLISH)
    for key, text in _sentences(read_words(language)).items():
        assert text == text.strip() and text, key
        if key.endswith(("tooltip", "description")):
            assert re.search(LETTERS[language], text), f"{key} is not translated: {text}"
        for pattern in (KEPT, KEPT_NAMES):
            assert {*pattern.findall(english[key])} <= {*pattern.findall(text)}, f"{key}: {text}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_units_are_named_with_their_number(language: str) -> None:
    inputs = read_words(language)["AUA_AUVector"]["inputs"]
    for unit in PLAIN_NAMES:
        name = inputs[f"au{unit}"]["name"]
        assert re.match(rf"AU{unit} .*{LETTERS[language]}", name), name
    assert len({inputs[f"au{unit}"]["name"] for unit in PLAIN_NAMES}) == len(PLAIN_NAMES)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_look_has_a_name_of_its_own(language: str) -> None:
    named = _main(language)["auAdapter"]["looks"]
    expected = {look.name for look, _ in looks()}
    assert named.keys() == expected | {*GROUPS}
    assert len({named[name] for name in expected}) == len(expected)


@pytest.mark.parametrize("language", ("en", *LANGUAGES))
def test_every_category_has_a_name(language: str) -> None:
    categories = {part for node in NODES for part in node.define_schema().category.split("/")}
    assert _main(language)["nodeCategories"].keys() == categories


def test_a_changed_sentence_takes_its_translation_out() -> None:
    before = {"A": {"display_name": "one", "inputs": {"x": {"name": "x", "tooltip": "old"}}}}
    now = {"A": {"display_name": "one", "inputs": {"x": {"name": "x", "tooltip": "new"}}}, "B": {}}
    kept = {"A": {"display_name": "eins", "inputs": {"x": {"name": "x", "tooltip": "alt"}}}}
    expected = {"A": {"display_name": "eins", "inputs": {"x": {"name": "x"}}}}
    assert fresh(kept, before, now) == expected
