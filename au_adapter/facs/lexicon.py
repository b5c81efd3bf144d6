"""The vocabulary of `facs.phrases`: every phrase and what it can mean.

Phrases come from `phrases.json`, `expressions.json` and the names of the AUs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

from .notation import LETTERS
from .presets import PRESETS, Preset
from .units import UNITS

PHRASES = Path(__file__).with_name("phrases.json")
# After these words an article continues the phrase: "corner of the mouth", but "lower the lip".
_PREPOSITIONS = {*("all", "at", "between", "beside", "for", "from", "in", "of", "on", "over", "to")}
_ENDINGS = {"ing": 3, "ed": 3, "es": 3, "s": 2}  # with the letters that must stand before them
_IRREGULAR = {
    # bite must not become "bit", which is a degree
    **{"bite": "bitten", "bites": "bitten", "biting": "bitten"},
    **{"bent": "bend", "blew": "blow", "blown": "blow", "brought": "bring"},
    **{"drawn": "draw", "drew": "draw", "eyed": "eye", "fallen": "fall", "fell": "fall"},
    **{"hidden": "hide", "hung": "hang", "risen": "rise", "rose": "rise", "seen": "see"},
    **{"shot": "shoot", "shown": "show", "stuck": "stick", "sunk": "sink", "sunken": "sink"},
}
# AUs whose names read as a part and its action ("lips part"), or are movements: phrases.json has
# these words.
_NAMED_BY_PARTS = (18, 19, 25, 26, 27, 28, 29, 30, 32, 34, 35, 37, 43, 45, 46)


@dataclass(frozen=True)
class Look:
    """Something a whole face can do: AUs in notation. `name` and `source` of an expression; a look
    without a name is an action. `one_sided`: means something only with a side."""

    notation: str
    name: str = ""
    source: str = ""
    one_sided: bool = False


@dataclass(frozen=True)
class Sense:
    """What a word or phrase can mean, depending on the words around it.

    part: a part of the face; seen: the AUs seen there. does: as an action, its meaning by part:
    {part: notation}. rest: the action of doing nothing. degree: 1..5. beside_degree: its effect on
    another word of degree, "boost" or "nothing". side: left, right, both, one (of them) or viewer.
    break_: "clause", "joint" or "or". unclear, outside: why it cannot be read as AUs.
    """

    part: str = ""
    seen: tuple[int, ...] = ()
    does: Mapping[str, str] = field(default_factory=dict)
    rest: bool = False
    look: Look | None = None
    neutral: bool = False
    degree: float | None = None
    beside_degree: str = ""
    side: str = ""
    negates: bool = False
    break_: str = ""
    unclear: str = ""
    outside: str = ""
    filler: bool = False

    def joined(self, other: Sense) -> Sense:
        """Both meanings of a word; where they compete, this one's."""
        changes = {f.name: getattr(self, f.name) or getattr(other, f.name) for f in fields(self)}
        return replace(self, **{**changes, "does": {**other.does, **self.does}})


class Lexicon:
    """Phrases of one or more words and their meanings.

    Names of expressions match exactly, all others without endings: "surprised" and "surprise" are
    two expressions, "raised" and "raises" one action.
    """

    def __init__(self, presets: Iterable[Preset]) -> None:
        """ValueError where two presets share a name or a word, or take one that stands for
        something else."""
        data = json.loads(PHRASES.read_text(encoding="utf-8"))
        self._articles = set(data["articles"])
        self.parts: dict[str, tuple[int, ...]] = {
            name: tuple(part["units"]) for name, part in data["parts"].items()
        }
        self._exact: dict[tuple[str, ...], Sense] = {}
        self._stems: dict[tuple[str, ...], Sense] = {}
        self.known: set[str] = set()  # all single words, for suggestions
        self._joined: set[tuple[str, str]] = set()  # neighbours in the names of expressions
        for phrase, sense in _senses(data):
            self._add(phrase, sense)
        self._add_presets(presets)
        self._longest = max(map(len, [*self._exact, *self._stems]))

    def without_articles(self, words: Iterable[str]) -> list[str]:
        """The words without articles and the like: the, his, are, ..."""
        return [word for word in words if word not in self._articles]

    def runs(self, words: Iterable[str]) -> list[list[str]]:
        """Words without articles, split where an article begins a new phrase."""
        runs: list[list[str]] = [[]]
        article = False
        for word in words:
            if word in self._articles:
                article = True
                continue
            before = runs[-1][-1] if runs[-1] else ""
            if article and before not in _PREPOSITIONS and (before, word) not in self._joined:
                runs.append([])
            runs[-1].append(word)
            article = False
        return runs

    def find(self, words: Sequence[str], start: int) -> tuple[int, Sense | None]:
        """The longest phrase that begins at `start`: its number of words and its meaning; 1 and
        None for an unknown word."""
        for length in range(min(self._longest, len(words) - start), 0, -1):
            key = tuple(words[start : start + length])
            exact, stems = self._exact.get(key), self._stems.get(tuple(map(stem, key)))
            if exact and stems:  # "hate" is no kind of "hat"
                return length, exact.joined(replace(stems, outside="", unclear=""))
            if exact or stems:
                return length, exact or stems
        return 1, None

    def names_with(self, word: str) -> list[str]:
        """Up to two names of expressions that a word is a part of."""
        return [" ".join(key) for key in self._exact if word in key][:2]

    def _add(self, phrase: str, sense: Sense) -> None:
        words = self.without_articles(phrase.split()) or phrase.split()
        key = tuple(map(stem, words))
        self._stems[key] = self._stems.get(key, Sense()).joined(sense)
        self.known.update(words)

    def _add_presets(self, presets: Iterable[Preset]) -> None:
        owner: dict[tuple[str, ...], str] = {}
        for entry in presets:
            for phrase in dict.fromkeys((entry.name, *entry.words)):
                words = phrase.lower().replace("'", "").replace("-", " ").split()
                key = tuple(self.without_articles(words))
                self._joined.update(zip(key, key[1:], strict=False))
                if not key:
                    raise ValueError(f"'{phrase}' of '{entry.name}' has no word in it")
                s = self._stems.get(tuple(map(stem, key)), Sense())
                # A meaning that does not depend on a part of the face beside it.
                taken = s.part or s.look or s.degree or s.side or s.negates or s.break_
                if key in owner or taken:
                    raise ValueError(
                        f"'{phrase}' of '{entry.name}' already means "
                        f"{owner.get(key, 'something else')}: a name or word means one thing; "
                        "choose another"
                    )
                owner[key] = entry.name
                self._exact[key] = Sense(look=Look(entry.full, entry.name, entry.source))
                self.known.update(key)


@cache
def shipped_lexicon() -> Lexicon:
    """The words that come with the library."""
    return Lexicon(PRESETS.values())


def stem(word: str) -> str:
    """A word without the endings of verbs and plurals: raises, raised and raising are "rais".

    Good only for comparison with other stems.
    """
    word = _IRREGULAR.get(word, word)
    for ending, least in _ENDINGS.items():
        if word.endswith(ending) and len(word) - len(ending) >= least:
            word = word[: -len(ending)]
            break
    if len(word) > 3 and word.endswith("e"):
        word = word[:-1]
    return word[:-1] if len(word) > 3 and word[-1] == word[-2] else word


def _senses(data: Mapping[str, Any]) -> Iterable[tuple[str, Sense]]:
    """Every phrase of `phrases.json` and every name of an AU, with its meaning."""
    for name, part in data["parts"].items():
        place = Sense(part=name, seen=tuple(part["units"]))
        yield from ((phrase, place) for phrase in part["words"])
        for notation, phrases in part["does"].items():
            yield from ((phrase, Sense(does={name: notation})) for phrase in phrases)
    for notation, phrases in data["looks"].items():
        yield from ((phrase, Sense(look=Look(notation))) for phrase in phrases)
    for notation, phrases in data["one_sided_looks"].items():
        yield from ((p, Sense(look=Look(notation, one_sided=True))) for p in phrases)
    for number in sorted({*UNITS} - {*_NAMED_BY_PARTS}):
        for name in UNITS[number].name.lower().split(" and "):
            yield name, Sense(look=Look(str(number)))
    for letter, phrases in data["degrees"].items():
        yield from ((phrase, Sense(degree=LETTERS[letter])) for phrase in phrases)
    for side, phrases in data["sides"].items():
        yield from ((phrase, Sense(side=side)) for phrase in phrases)
    yield from ((phrase, Sense(unclear=why)) for phrase, why in data["ambiguous"].items())
    for what, phrases in data["outside"].items():
        yield from ((phrase, Sense(outside=what)) for phrase in phrases)
    kinds = {
        "boosters": Sense(beside_degree="boost"),
        "softeners": Sense(beside_degree="nothing"),
        "rest": Sense(rest=True),
        "neutral": Sense(neutral=True),
        "not": Sense(negates=True),
        "separators": Sense(break_="clause"),
        "joints": Sense(break_="joint"),
        "alternatives": Sense(break_="or"),
        "fillers": Sense(filler=True),
    }
    for kind, sense in kinds.items():
        yield from ((phrase, sense) for phrase in data[kind])
