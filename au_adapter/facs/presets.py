"""Expressions as readable recipes: what the literature writes, and what remains of it in set A and
set B.

`full` uses any AU and either side; `set_a` and `set_b` use the twelve AUs of each set, and are None
where the expression cannot be made with them. A bare code takes the default intensity, C. Recipes
describe faces, not feelings: FACS itself names no emotion.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from .notation import format_notation, parse_notation
from .units import SET_A
from .vector import AUVector

SET_B = (1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24)


@dataclass(frozen=True)
class Preset:
    """One recipe in FACS notation, its source, and a note on what is lost. `variants` are AUs seen
    in some people."""

    name: str
    full: str
    set_a: str | None
    set_b: str | None
    source: str
    note: str = ""
    variants: tuple[int, ...] = ()

    def vector(self, form: str = "full") -> AUVector:
        """The recipe as one face. `form`: "full", "set_a" or "set_b"; ValueError where it cannot be
        made with them."""
        if form not in ("full", "set_a", "set_b"):
            raise ValueError(f"There is no form '{form}' of a preset; choose full, set_a or set_b")
        notation = getattr(self, form)
        if notation is None:
            raise ValueError(f"'{self.name}' cannot be made with {form}: {self.note}")
        return AUVector.parse(notation)


EMFACS = "EMFACS, quick list"
DU = "Du, Tao & Martinez, PNAS 2014"
OURS = "AU-Adapter"

_BASIC = (
    Preset("happiness", "6+12", "6+12", "6+12", EMFACS),
    Preset("sadness", "1+4+15", "1+4+15", "1+4+15", EMFACS),
    Preset(
        "surprise",
        "1+2+5B+26",
        "1+2+5B+25+26",
        "1+2",
        EMFACS,
        "weak in set B: 5 and 26 are missing",
    ),
    Preset(
        "fear",
        "1+2+4+5+7+20+26",
        "1+2+4+5+20+25+26",
        "1+2+4+7",
        EMFACS,
        "weak in set B: 5, 20, 26 are missing",
    ),
    Preset("anger", "4+5+7+23", "4+5+17", "4+7+23", EMFACS, "set A lacks 7 and 23"),
    Preset("disgust", "9+15+16", "9+15+17", "10+17", EMFACS, "17 stands for 16; set B lacks 9"),
    Preset(
        "contempt",
        "R12A+R14A",
        None,
        "12A+14A",
        EMFACS,
        "needs 14 and one side; set B shows both sides",
    ),
)

_LOOKS = (
    Preset(
        "pain",
        "4C+6C+7C+9C+10C+43E",
        "4C+6C+9C",
        "4C+6C+7C+10C",
        "Prkachin & Solomon 2008",
        "43 is missing in both",
    ),
    Preset("concentration", "4B+7B+24B", "4B+17A", "4B+7B+24B", OURS, "after Rozin & Cohen 2003"),
    Preset("confusion", "4C+7C", "4C+1A+17A", "4C+7C", "Craig et al. 2008", "set A lacks 7"),
    Preset(
        "scepticism",
        "R2C+L4B+14",
        "1A+2C+4A+15A",
        "2C+4A+14B+17B",
        OURS,
        "one-sided; the sets show both sides",
    ),
    Preset("doubt", "1+2+15+17", "1+2+15+17", "1+2+15+17", "Ekman, facial shrug"),
    Preset(
        "boredom", "43B+15A+17A", "15A+17A", "15A+17A", OURS, "the lids, 43, are missing in both"
    ),
    Preset(
        "embarrassment",
        "12B+24C",
        "12B+15A+17B",
        "12B+24C",
        "Keltner 1995",
        "gaze and head are missing",
    ),
    Preset("polite smile", "12C", "12C", "12C", OURS, "without 6"),
    Preset("enjoyment smile", "6C+12D+25C", "6C+12D+25C", "6C+12D", "Duchenne smile"),
    Preset("miserable smile", "1+4+12+15+17", "1+4+12+15", "1+4+12+15+17", "Ekman & Friesen 1982"),
    Preset("smirk", "R12B+R14B", "12B", "12B+14B", OURS, "one-sided; the sets show both sides"),
    Preset("pucker", "18+22A", None, None, OURS, "18 and 22 are in neither set"),
    Preset("one eye closed", "L43E", None, None, OURS, "43 is in neither set"),
    Preset("sneer", "R10C", "9C", "10C", OURS, "one-sided; the sets show both sides"),
    Preset("determination", "4B+17B+24C", "4B+17C", "4B+17B+24C", OURS),
    Preset("sleepy", "43C+26A", None, None, OURS, "43 is in neither set"),
    Preset("delighted surprise", "1+2+12+25", "1+2+12+25", "1+2+12", OURS),
)

#: Category: AUs that nearly everybody shows, AUs that some people show.
_DU_TABLE = {
    "happy": ("12+25", "6"),
    "sad": ("4+15", "1+6+11+17"),
    "fearful": ("1+4+20+25", "2+5+26"),
    "angry": ("4+7+24", "10+17+23"),
    "surprised": ("1+2+25+26", "5"),
    "disgusted": ("9+10+17", "4+24"),
    "happily surprised": ("1+2+12+25", "5+26"),
    "happily disgusted": ("10+12+25", "4+6+9"),
    "sadly fearful": ("1+4+20+25", "2+5+6+15"),
    "sadly angry": ("4+15", "6+7+11+17"),
    "sadly surprised": ("1+4+25+26", "2+6"),
    "sadly disgusted": ("4+10", "1+6+9+11+15+17+25"),
    "fearfully angry": ("4+20+25", "5+7+10+11"),
    "fearfully surprised": ("1+2+5+20+25", "4+10+11+26"),
    "fearfully disgusted": ("1+4+10+20+25", "2+5+6+9+15"),
    "angrily surprised": ("4+25+26", "5+7+10"),
    "angrily disgusted": ("4+10+17", "7+9+24"),
    "disgustedly surprised": ("1+2+5+10", "4+9+17+24"),
    "appalled": ("4+10", "6+9+17+24"),
    "hatred": ("4+10", "7+9+17+24"),
    "awed": ("1+2+5+25", "4+20+26"),
}


def preset(name: str) -> Preset:
    """The recipe of a name. ValueError listing the names that exist."""
    if name not in PRESETS:
        raise ValueError(f"There is no preset '{name}'; known are {', '.join(PRESETS)}")
    return PRESETS[name]


def _compound(name: str, full: str, variants: str) -> Preset:
    """A row of Du et al.: the lip raiser, 10, becomes the nose wrinkler, 9, where a set has only
    that one."""
    values = parse_notation(full)
    swapped = {"9" if code == "10" else code: value for code, value in values.items()}
    forms = (_restricted(swapped, SET_A), _restricted(values, SET_B))
    lost = [
        ", ".join(code for code in values if int(code) not in units) for units in (SET_A, SET_B)
    ]
    note = "; ".join(
        f"set {letter} lacks {codes}" for letter, codes in zip("AB", lost, strict=True) if codes
    )
    return replace(
        Preset(name, full, *forms, DU, note),
        variants=tuple(int(code) for code in parse_notation(variants)),
    )


def _restricted(values: dict[str, float], units: tuple[int, ...]) -> str | None:
    return (
        format_notation({code: value for code, value in values.items() if int(code) in units})
        or None
    )


PRESETS: dict[str, Preset] = {
    entry.name: entry
    for entry in (*_BASIC, *(_compound(name, *codes) for name, codes in _DU_TABLE.items()), *_LOOKS)
}
