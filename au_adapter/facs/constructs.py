"""The pieces of a face's description, single AUs and combinations, and which of them a face takes.

VQ-AUFace (arXiv 2603.18588) writes 12 Action Units (AUs) and 26 combinations of them, each with a
text of its own: a combination looks different from the sum of its parts. `texts.json` holds our
texts for those 38, for 11 combinations more over all 17 AUs of sets A and B, and for the other AUs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

TEXTS = Path(__file__).with_name("texts.json")
POLICIES = ("paper", "strict")


@dataclass(frozen=True)
class Construct:
    """One AU or one combination with its texts.

    In a text, {12} stands for a word of intensity before what AU12 does, and {side} for left or
    right. `origin`: "paper" for the 38 constructs of VQ-AUFace, "ours" for the others. `wordings`:
    whole sentences that say the same. `one_side`: for one half of the face. `short`,
    `short_one_side`: a few words without a full stop.
    """

    units: tuple[int, ...]
    origin: str
    wordings: tuple[str, ...]
    one_side: str
    short: str
    short_one_side: str

    @property
    def name(self) -> str:
        """The AUs in FACS notation, such as 6+12."""
        return "+".join(map(str, self.units))


@cache
def constructs() -> tuple[Construct, ...]:
    """All constructs of `texts.json`: single AUs, then combinations, those of the paper first."""
    entries = json.loads(TEXTS.read_text(encoding="utf-8"))["texts"]
    units = [tuple(map(int, entry.pop("aus").split("+"))) for entry in entries]
    wordings = [tuple(entry.pop("wordings")) for entry in entries]
    rows = zip(entries, units, wordings, strict=True)
    return tuple(Construct(units=u, wordings=w, **entry) for entry, u, w in rows)


def allocate(units: Iterable[int], policy: str = "paper") -> list[Construct]:
    """The constructs that describe a set of AUs: combinations of three and more, pairs, singles.

    "paper" follows what VQ-AUFace prints. The listing of its appendix G is lost; this rule gives
    every description in the appendices but one (tests/unit/test_facs_text.py has them): each
    combination of three or four uses its AUs up, largest first; then every pair of AUs that are
    left counts, also where two pairs share an AU. "strict" uses every AU once. ValueError for
    another policy, KeyError for an AU without a text.
    """
    if policy not in POLICIES:
        raise ValueError(f"there is no policy {policy!r}; expected one of {', '.join(POLICIES)}")
    wanted = set(units)
    free = set(wanted)  # not yet in a combination that uses its AUs up
    combinations = [entry for entry in constructs() if len(entry.units) > 1]
    singles = {entry.units[0]: entry for entry in constructs() if len(entry.units) == 1}
    found = []
    for entry in sorted(combinations, key=lambda entry: -len(entry.units)):
        if free.issuperset(entry.units):
            found.append(entry)
            if policy == "strict" or len(entry.units) > 2:
                free.difference_update(entry.units)
    described = {number for entry in found for number in entry.units}
    return found + [singles[number] for number in sorted(wanted - described)]
