"""The Action Units of FACS, from `units.json`: number, name, muscles, place, and what is seen.

Sides are always the subject's.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

_TABLES = json.loads(Path(__file__).with_name("units.json").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class ActionUnit:
    """One code of FACS. `bilateral` says whether the left and the right half can act apart; codes
    without muscles are FACS's coarser Action Descriptors. `plain`: the name for people without
    FACS, which AUs beyond sets A and B lack."""

    number: int
    name: str
    muscles: tuple[str, ...]
    region: str
    seen: str
    bilateral: bool = True
    plain: str = ""


UNITS: dict[int, ActionUnit] = {
    entry["number"]: ActionUnit(**{**entry, "muscles": tuple(entry["muscles"])})
    for entry in _TABLES["units"]
}

#: The twelve AUs of DISFA, which FineFace, MagicFace and AUEditNet use, and those of BP4D.
SET_A, SET_B = (tuple(_TABLES["sets"][name]) for name in "AB")
#: What set B adds to set A.
SET_B_EXTRA = tuple(number for number in SET_B if number not in SET_A)
ALL_UNITS = tuple(sorted(SET_A + SET_B_EXTRA))

#: AUs that may be written for the top (T) or the bottom (B) lip alone.
LIP_UNITS = (8, 10, 16, 18, 22, 23, 24, 25, 28, 32)

#: Part of the face, from the top down -> the AUs of sets A and B that people look for there.
PLACES: dict[str, tuple[int, ...]] = {
    name: tuple(units) for name, units in _TABLES["places"].items()
}
#: Codes that cannot be written for a still picture, and what to write instead.
REFUSED: dict[int, str] = {int(number): why for number, why in _TABLES["refused"].items()}

# Parts of the face by words that stand in an AU's region.
_WORDS = {
    "brows": ("brow",),
    "eyes": ("eye",),
    "nose and cheeks": ("nose", "cheek", "middle of the face"),
    "mouth and jaw": ("lip", "mouth", "chin", "jaw"),
}


def _in(words: tuple[str, ...]) -> tuple[int, ...]:
    return tuple(n for n, unit in UNITS.items() if any(word in unit.region for word in words))


_UPPER = _in(_WORDS["brows"] + _WORDS["eyes"])
#: Part of the face -> the AUs seen there. FACS parts the face under the eyes: AU6 is upper.
REGIONS: dict[str, tuple[int, ...]] = {
    "all": tuple(UNITS),
    "upper face": _UPPER,
    "lower face": tuple(number for number in UNITS if number not in _UPPER),
    **{place: _in(words) for place, words in _WORDS.items()},
}


def unit(number: int) -> ActionUnit:
    """The Action Unit of a number. ValueError for a number that none has, saying which exist."""
    if number not in UNITS:
        known = " ".join(str(n) for n in UNITS if n not in REFUSED)
        raise ValueError(f"There is no Action Unit {number}; expected one of {known}")
    return UNITS[number]


def scorable(number: int) -> int:
    """The number itself where it may stand in a vector of intensities for a still picture.

    Raises ValueError, with what to write instead, for unknown numbers, movements in time (45, 46),
    codes folded into others in 2002 (41, 42, 44) and codes for head, eyes and visibility (50..79).
    """
    if number in REFUSED:
        raise ValueError(REFUSED[number])
    if 50 <= number <= 79:
        raise ValueError(
            f"Code {number} describes head, eyes or visibility, not a facial action: leave it out"
        )
    return unit(number).number
