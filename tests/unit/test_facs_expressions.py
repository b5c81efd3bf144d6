"""Tables of words: every name and phrase means one thing, and every meaning is a face."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from au_adapter.facs import PRESETS, SET_A, UNITS, Preset, check, parse_notation, read_presets
from au_adapter.facs.lexicon import PHRASES, Lexicon, shipped_lexicon, stem
from au_adapter.facs.understanding import understand

DATA = json.loads(PHRASES.read_text(encoding="utf-8"))


def test_a_name_or_word_stands_for_one_expression() -> None:
    words = Counter(word for entry in PRESETS.values() for word in (entry.name, *entry.words))
    assert [word for word, times in words.items() if times > 1] == []
    assert len(PRESETS) == 68


@pytest.mark.parametrize("name", PRESETS)
def test_every_name_and_word_gives_its_recipe(name: str) -> None:
    entry = PRESETS[name]
    assert entry.source
    for word in (entry.name, *entry.words):
        found = understand(word)
        assert found.vector.dict() == entry.vector().select(sorted(entry.vector().units)).dict()
        assert f"{name}, {entry.source}" in found.lines[0]


def test_every_meaning_is_written_in_notation_that_can_be_read() -> None:
    seen = set()
    for name, part in DATA["parts"].items():
        assert set(part["units"]) <= {*UNITS}
        for notation, phrases in part["does"].items():
            if not notation.startswith("? "):
                assert phrases and {int(code) for code in parse_notation(notation)} <= {*UNITS}
            for phrase in phrases:
                key = (name, tuple(map(stem, phrase.split())))
                assert key not in seen, f"{phrase} means two things on the {name}"
                seen.add(key)
    for notation in (*DATA["looks"], *DATA["one_sided_looks"]):
        assert parse_notation(notation)


def test_a_word_has_one_role_of_a_kind() -> None:
    for kind in ("degrees", "sides", "looks", "outside"):
        stems = Counter(
            tuple(map(stem, phrase.split()))
            for phrases in DATA[kind].values()
            for phrase in phrases
        )
        assert [words for words, times in stems.items() if times > 1] == [], kind


def test_the_parts_and_looks_of_the_shipped_words() -> None:
    for name, part in DATA["parts"].items():
        for phrase in part["words"]:
            words = shipped_lexicon().without_articles(phrase.split())
            length, sense = shipped_lexicon().find(words, 0)
            assert length == len(words) and sense.part == name, phrase


@pytest.mark.parametrize(
    "words",
    ["raise raises raised raising", "press presses pressed pressing", "lip lips", "eye eyes"]
    + ["close closes closed closing", "knit knits knitted knitting", "purse pursed pursing"],
)
def test_endings_do_not_matter(words: str) -> None:
    assert len(set(map(stem, words.split()))) == 1


def write(path: Path, content: object) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_expressions_of_a_person(tmp_path: Path) -> None:
    entry = {"aus": "1B+L12C", "words": ["that look", "the Mona Lisa's"]}
    own = read_presets(write(tmp_path / "own.json", {"expressions": {"my look": entry}}))
    assert own["my look"] == Preset(
        "my look", "1B+L12C", None, None, "yours", words=("that look", "the Mona Lisa's")
    )
    for text in ("my look", "that look", "The Mona Lisa\u2019s"):
        assert understand(text, own).vector.dict() == {"1": 2.0, "L12": 3.0}
    assert understand("slightly happy, no smile", own).lines[0].startswith("slightly happy: happy")
    with pytest.raises(ValueError, match="'mona' is not known"):
        understand("lips parted, mona lisa")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "own.json is not JSON: "),
        ("[]", 'own.json: expected {"expressions"'),
        ({"expressions": {"x": "12"}}, 'own.json: expected {"expressions"'),
        ({"expressions": {"x": {}}}, 'own.json: expected {"expressions"'),
        ({"expressions": {"x": {"aus": "12F"}}}, "own.json: 'x': '12F'"),
        ({"expressions": {"x": {"aus": "12", "colour": "red"}}}, "'x' has colour; expected some"),
        ({"expressions": {"x": {"aus": "12", "words": "y"}}}, "the words of 'x' are 'y'"),
        ({"expressions": {"x": {"aus": 12}}}, "own.json: expected"),
    ],
)
def test_a_wrong_file_of_expressions(tmp_path: Path, content: object, reason: str) -> None:
    with pytest.raises(ValueError) as caught:
        read_presets(write(tmp_path / "own.json", content))
    assert reason in str(caught.value) and "own.json" in str(caught.value)


@pytest.mark.parametrize("name", ["anger", "joyful", "smile", "brows", "Slightly", "left", "the"])
def test_a_name_that_is_taken_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"(?i)'{name}' of '{name}' (already means|has no word)"):
        Lexicon([*PRESETS.values(), Preset(name, "12", None, None, "yours")])


def test_later_recipes_say_what_is_lost() -> None:
    for entry in PRESETS.values():
        for form in ("full", "set_a", "set_b"):
            if getattr(entry, form):
                vector = entry.vector(form)
                assert not [found for found in check(vector) if found.kind == "X"], entry.name
                if form == "set_a":
                    assert set(vector.units) <= set(SET_A)
