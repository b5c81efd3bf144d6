"""The recipes of `presets` as a list that people choose from: each look once, in groups.

The sources name some looks twice ("happiness" and "happy"). The list has the first of them and
finds it by both names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .presets import PRESETS, Preset

#: A name that another recipe already gives to a look -> the name in the list.
SAME_LOOK = {
    "happy": "happiness",
    "sad": "sadness",
    "surprised": "surprise",
    "fearful": "fear",
    "angry": "anger",
    "disgusted": "disgust",
}
# Sources in expressions.json whose expressions are a group.
EMFACS, DU = "EMFACS, quick list", "Du, Tao & Martinez, PNAS 2014"
GROUPS = ("Emotions", "Looks", "Mixed emotions")


@dataclass(frozen=True)
class Look:
    """A recipe, the other names that people find it by, and its group."""

    preset: Preset
    other_names: tuple[str, ...]
    group: str


def looks(presets: Mapping[str, Preset] = PRESETS) -> list[Look]:
    """Every look once, group by group."""
    found = [
        Look(entry, tuple(n for n, same in SAME_LOOK.items() if same == name), _group(entry))
        for name, entry in presets.items()
        if name not in SAME_LOOK
    ]
    return sorted(found, key=lambda look: GROUPS.index(look.group))


def _group(entry: Preset) -> str:
    return {EMFACS: "Emotions", DU: "Mixed emotions"}.get(entry.source, "Looks")
