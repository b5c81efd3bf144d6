"""FACS notation both ways: "1+2+5B+26", "R12A+L14C", "AU6:3.5".

    item = [L|R|T|B] ["AU" | "AD"] number [L|R] [A-E | (":" or "=") decimal]

The prefix may also stand after "AU", and a side behind the number. Items are separated by + , ; /
or space, case does not matter. 0 alone is FACS's code of the neutral face. Letters are A..E = 1..5
(trace, slight, marked, severe, maximum). Decimals may be negative or above 5: edits and
extrapolation use them, FACS itself does not. What has two meanings is refused, never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from .units import LIP_UNITS, scorable

LETTERS = {"A": 1.0, "B": 2.0, "C": 3.0, "D": 4.0, "E": 5.0}
DEFAULT_INTENSITY = 3.0  # a bare code is read as C, "marked"

_CODE = re.compile(r"([A-Z]*)([0-9]+)([LR]?)(?![0-9])")
_DECIMAL = re.compile(r"[:=](-?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))")
_ALTERNATIVES = re.compile(r"@|\bOR\b")
_TWO_GRADES = re.compile(r"[0-9]\s*([A-E]\s*/\s*[A-E])(?![A-Z0-9])")
# A plus that touches the number behind it alone: the next code, or the intensity of the one before?
_SIGNED = re.compile(r"\bAU\s*[LRTB]?[0-9]+\s+(\+[0-5](?:\.[0-9]+)?)(?![0-9A-Z:=.])")
_MINUS = dict.fromkeys(map(ord, "\u2212\u2013\ufe63\uff0d"), "-")
_NEUTRAL = ("0", "AU0")
_DECIMAL_COMMA = re.compile(r"[:=][-+]?[0-9]+,[0-9]+(?![0-9.]*[A-Z:=])")
_SEPARATORS = re.compile(r"[+,;/\s]+")


def parse_notation(text: str, *, default_intensity: float = DEFAULT_INTENSITY) -> dict[str, float]:
    """Read FACS notation into {code: intensity}, e.g. "R12A+L14" -> {"R12": 1.0, "L14": 3.0}.

    A bare code takes `default_intensity`. An empty text and 0 are the neutral face, {}. Raises
    ValueError naming the item for anything outside the grammar, and for one action written twice.
    """
    found: dict[str, float] = {}
    if text.strip().upper() in _NEUTRAL:
        return found
    for item in _items(text):
        code, rest = split_code(item)
        _refuse_overlap(code, found, item)
        found[code] = _intensity(rest, item, default_intensity)
    return found


def format_notation(values: Mapping[str | int, float]) -> str:
    """{code: intensity} as FACS notation: letters for 1..5, ":decimal" else, without zeros."""
    parts = []
    for key, value in values.items():
        code, rest = split_code(str(key))
        if rest:
            raise ValueError(f"'{key}' is not the code of an Action Unit, such as 12 or L12")
        if not np.isfinite(value):
            raise ValueError(f"The intensity of AU{code} is {value}; it must be a finite number")
        if value:
            letter = next((name for name, grade in LETTERS.items() if value == grade), None)
            decimal = np.format_float_positional(float(value), trim="-")
            parts.append(code + (letter or f":{decimal}"))
    return "+".join(parts)


def split_code(item: str) -> tuple[str, str]:
    """Split "AUL12C" into the plain code "L12" and the rest "C"; checks prefix and number.

    ValueError for unknown prefixes, numbers without an Action Unit and lip prefixes on other AUs.
    """
    match = _CODE.match(item.strip().upper())
    if not match:
        raise ValueError(
            f"'{item}' is not an Action Unit: write a number such as 12, 12C, L12C or AU12:3.5"
        )
    prefix, number = re.sub("AU|AD", "", match[1], count=1), scorable(int(match[2]))
    if match[3]:
        if prefix:
            raise ValueError(f"'{item}' has two sides, {prefix} and {match[3]}: keep one")
        prefix = match[3]
    if prefix not in ("", "L", "R", "T", "B"):
        raise ValueError(
            f"'{item}': the prefix {prefix} is unknown, or read differently by different sources; "
            "use L or R for a side, T or B for a lip, such as L12B+R12D"
        )
    if prefix in ("T", "B") and number not in LIP_UNITS:
        raise ValueError(
            f"'{item}': {prefix} means the {'top' if prefix == 'T' else 'bottom'} lip alone, "
            f"which AU{number} does not have; an intensity letter stands after the number"
        )
    return f"{prefix}{number}", item.strip().upper()[match.end() :]


def _items(text: str) -> list[str]:
    text = text.upper().translate(_MINUS)
    if match := _SIGNED.search(text):
        raise ValueError(
            f"'{match[0]}' could be two Action Units or an intensity: write ':{match[1][1:]}' for "
            "the intensity, or AU before both numbers"
        )
    if match := _ALTERNATIVES.search(text):
        raise ValueError(f"'{match[0]}' stands between alternatives: write the one that is meant")
    if match := _TWO_GRADES.search(text):
        raise ValueError(f"'{match[1]}' leaves the intensity open: choose one letter")
    text = re.sub(r"\s*([:=])\s*", r"\1", text)
    text = re.sub(r"([:=])\+(?=[0-9.])", r"\1", text)  # before "+" parts items
    if match := _DECIMAL_COMMA.search(text):
        raise ValueError(
            f"'{match[0]}' could be a decimal or a list: write a point, or a space after the comma"
        )
    text = re.sub(r"\b(AU|AD)\s+(?=[LRTB]?[0-9])", r"\1", text)
    return [item for item in _SEPARATORS.split(text) if item]


def _intensity(rest: str, item: str, default: float) -> float:
    if not rest:
        return _finite(default, item)
    if rest in LETTERS:
        return LETTERS[rest]
    if match := _DECIMAL.fullmatch(rest):
        return _finite(match[1], item)
    if rest in ("X", "Y", "Z"):
        raise ValueError(
            f"'{item}': X, Y and Z are 1978 grades without an agreed value; use A to E"
        )
    if rest == "*":
        raise ValueError(f"'{item}': * means any intensity; choose one, A to E")
    raise ValueError(
        f"'{item}': after the number comes a letter A to E or a decimal such as :3.5, not '{rest}'"
    )


def _finite(value: float | str, item: str) -> float:
    if not np.isfinite(number := float(value)):
        raise ValueError(f"'{item}': the intensity is {number}; it must be a finite number")
    return number


def _refuse_overlap(code: str, found: Mapping[str, float], item: str) -> None:
    """One side of an action and the whole of it, or the same twice, contradict each other."""
    number = code.lstrip("LRTB")
    for other in found:
        apart = {code[0], other[0]} in ({"L", "R"}, {"T", "B"})
        if other.lstrip("LRTB") == number and not apart:
            raise ValueError(
                f"'{item}': AU{number} is given twice ({other}, {code}); keep one, or write L and R"
            )
