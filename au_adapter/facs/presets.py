"""Expressions by name, from `expressions.json`: the literature's, and what sets A and B keep of it.

`full` uses any AU and either side; `set_a` and `set_b` use the twelve AUs of each set, and are None
where the expression cannot be made with them. A bare code takes the default intensity, C. Recipes
describe faces, not feelings: FACS itself names no emotion.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .vector import AUVector

EXPRESSIONS = Path(__file__).with_name("expressions.json")
KEYS = ("aus", "set_a", "set_b", "source", "note", "variants", "words")
#: The sources name some looks twice: the other name -> the one that `looks` lists.
SAME_LOOK = {
    **{"happy": "happiness", "sad": "sadness", "surprised": "surprise"},
    **{"fearful": "fear", "angry": "anger", "disgusted": "disgust"},
}
GROUPS = ("Emotions", "Looks", "Mixed emotions")
# The group of the expressions of a source; those of others are looks.
_GROUP_OF = {"EMFACS, quick list": "Emotions", "Du, Tao & Martinez, PNAS 2014": "Mixed emotions"}


@dataclass(frozen=True)
class Preset:
    """One recipe in FACS notation, its source, and a note on what is lost. `variants` are AUs seen
    in some people, `words` are other words for the same."""

    name: str
    full: str
    set_a: str | None
    set_b: str | None
    source: str
    note: str = ""
    variants: tuple[int, ...] = ()
    words: tuple[str, ...] = ()

    @property
    def group(self) -> str:
        """One of GROUPS, by its source."""
        return _GROUP_OF.get(self.source, "Looks")

    def vector(self, form: str = "full") -> AUVector:
        """The recipe as one face. `form`: "full", "set_a" or "set_b"; ValueError where it cannot be
        made with them."""
        if form not in ("full", "set_a", "set_b"):
            raise ValueError(f"There is no form '{form}' of a preset; choose full, set_a or set_b")
        notation = getattr(self, form)
        if notation is None:
            raise ValueError(f"'{self.name}' cannot be made with {form}: {self.note}")
        return AUVector.parse(notation)


def preset(name: str) -> Preset:
    """The recipe of a name. ValueError listing the names that exist."""
    if name not in PRESETS:
        raise ValueError(f"There is no preset '{name}'; known are {', '.join(PRESETS)}")
    return PRESETS[name]


def read_presets(path: Path) -> dict[str, Preset]:
    """The expressions of a JSON file such as `expressions.json`, or a person's own.

    {"expressions": {"my look": {"aus": "1B+12C", "words": ["that look"]}}}. Of an entry, only "aus"
    must be there. ValueError names the file and the entry for anything else.
    """
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))["expressions"]
        return {name: _read_entry(name, entry) for name, entry in entries.items()}
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(
            f'{path}: expected {{"expressions": {{"my look": {{"aus": "1B+12C"}}}}}}'
        ) from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _read_entry(name: str, entry: Mapping) -> Preset:
    if not isinstance(entry, Mapping):
        raise TypeError(f"'{name}' is no object")
    if unknown := ", ".join(key for key in entry if key not in KEYS):
        raise ValueError(f"'{name}' has {unknown}; expected some of {', '.join(KEYS)}")
    words = entry.get("words", [])
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ValueError(f"the words of '{name}' are {words!r}; expected a list of texts")
    try:
        AUVector.parse(entry["aus"])
    except ValueError as error:
        raise ValueError(f"'{name}': {error}") from error
    texts = {key: entry.get(key) for key in ("set_a", "set_b")}
    about = {"source": entry.get("source", "yours"), "note": entry.get("note", "")}
    variants = tuple(entry.get("variants", ()))
    return Preset(name, entry["aus"], **texts, **about, variants=variants, words=tuple(words))


PRESETS: dict[str, Preset] = read_presets(EXPRESSIONS)


def looks() -> list[tuple[Preset, tuple[str, ...]]]:
    """The recipes to choose from: each look once, with its other names, group by group."""
    found = [
        (entry, tuple(other for other, same in SAME_LOOK.items() if same == name))
        for name, entry in PRESETS.items()
        if name not in SAME_LOOK
    ]
    return sorted(found, key=lambda look: GROUPS.index(look[0].group))
