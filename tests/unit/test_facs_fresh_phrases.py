"""Phrases by somebody who had read the help page of AU From Text, and nothing else, beside what
was meant: `fresh_phrases.json` says how they count."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from au_adapter import AUVector

FILE = Path(__file__).resolve().parents[1] / "data" / "fresh_phrases.json"
DATA = json.loads(FILE.read_text(encoding="utf-8"))
PHRASES, SECOND, THIRD = DATA["phrases"], DATA["second"], DATA["third"]
ONE_LETTER = 1.0
Sides = dict[tuple[int, str], float]


def _sides(face: AUVector) -> Sides:
    """(AU, side) -> intensity, without zeros."""
    both = zip(("L", "R"), face.sides(), strict=True)
    return {
        (unit, side): round(value, 3)
        for side, values in both
        for unit, value in zip(face.units, values[0].tolist(), strict=True)
        if value
    }


def _understood(phrase: dict[str, Any]) -> bool:
    """Whether a phrase counts as exact or equivalent."""
    if phrase.get("refused"):
        return _refused(phrase)
    meant = _sides(AUVector.parse(phrase["means"]))
    found = _sides(AUVector.from_text(phrase["text"]))
    optional = {unit for unit in phrase.get("also", ())} - {unit for unit, _ in meant}
    found = {code: value for code, value in found.items() if code[0] not in optional}
    return found.keys() == meant.keys() and all(
        abs(found[code] - meant[code]) <= ONE_LETTER or code[0] in phrase.get("open", ())
        for code in meant
    )


def _refused(phrase: dict[str, Any]) -> bool:
    try:
        AUVector.from_text(phrase["text"])
    except ValueError:
        return True
    return False


@pytest.mark.parametrize(("phrases", "least"), [(PHRASES, 35), (SECOND, 32), (THIRD, 39)])
def test_most_phrases_mean_what_their_writer_meant(phrases: list[dict], least: int) -> None:
    assert len({phrase["text"] for phrase in phrases}) == 40
    missed = [phrase["text"] for phrase in phrases if not _understood(phrase)]
    assert len(phrases) - len(missed) >= least, missed


@pytest.mark.parametrize("phrase", PHRASES + SECOND, ids=lambda phrase: phrase["text"])
def test_none_is_refused(phrase: dict[str, Any]) -> None:
    assert bool(_sides(AUVector.from_text(phrase["text"]))) == (phrase["means"] != "0")
