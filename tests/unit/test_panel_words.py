"""The panel's words in other languages: none is missing, and each keeps what is put into it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from au_adapter.facs import ALL_UNITS
from au_adapter.facs.units import PLACES

ROOT = Path(__file__).resolve().parents[2]
LANGUAGES = ("zh", "ja", "ko")
GAP = re.compile(r"\{\w+\}")


def _english() -> dict[str, str]:
    """The sentences of words.js, by key."""
    text = (ROOT / "web" / "js" / "panel" / "words.js").read_text(encoding="utf-8")
    return dict(re.findall(r"^  (\w+):\s*'(.*)',?$", text, re.MULTILINE))


def _translated(language: str) -> dict[str, dict[str, str]]:
    file = ROOT / "locales" / language / "main.json"
    return json.loads(file.read_text(encoding="utf-8"))["auAdapter"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_sentence_is_translated_with_its_gaps(language: str) -> None:
    english, found = _english(), _translated(language)["panel"]
    assert len(english) > 40 and found.keys() == english.keys()
    for key, text in english.items():
        assert sorted(GAP.findall(found[key])) == sorted(GAP.findall(text)), key


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_unit_and_place_has_a_name_of_its_own(language: str) -> None:
    found = _translated(language)
    assert found["units"].keys() == {str(number) for number in ALL_UNITS}
    assert found["places"].keys() == PLACES.keys()
    assert len({*found["units"].values()}) == len(ALL_UNITS)
