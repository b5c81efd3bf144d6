"""Action Units that pull against each other, from `conflicts.json`: which, in what way, and why."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .vector import AUVector

Kind = Literal["X", "N", "M"]
_TABLES = json.loads(Path(__file__).with_name("conflicts.json").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Rule:
    """Units that conflict when all are active, unless all of `unless` are active too."""

    units: tuple[int, ...]
    kind: Kind
    reason: str
    unless: tuple[int, ...] = ()


@dataclass(frozen=True)
class Conflict:
    """A rule that a face meets: on which side ("left", "right" or "both", the subject's) and which
    face."""

    units: tuple[int, ...]
    kind: Kind
    reason: str
    side: str
    face: int

    def __str__(self) -> str:
        where = "" if self.side == "both" else f" ({self.side})"
        return "+".join(str(number) for number in self.units) + f"{where}: {self.reason}"


KINDS: dict[Kind, str] = _TABLES["kinds"]
CONFLICTS = tuple(
    Rule(tuple(r["units"]), r["kind"], r["reason"], tuple(r.get("unless", ())))
    for r in _TABLES["rules"]
)


def check(vector: AUVector) -> list[Conflict]:
    """Conflicts among the AUs above 0 of every face, in the table's order.

    AUs on opposite sides do not conflict. A rule whose units all stand in a larger rule of the same
    kind that also applies is left out. An empty list means that the AUs go together.
    """
    return [conflict for face in range(len(vector)) for conflict in _check_face(vector, face)]


def describe_conflicts(vector: AUVector) -> list[str]:
    """What `check` finds as sentences for people, each once, with its number of faces if not all
    of them; those that exclude each other first."""
    faces: dict[str, set[int]] = {}
    for conflict in sorted(check(vector), key=lambda conflict: list(KINDS).index(conflict.kind)):
        faces.setdefault(f"{KINDS[conflict.kind]}: {conflict}", set()).add(conflict.face)
    return [
        text if len(found) == len(vector) else f"{text} ({len(found)} of {len(vector)} faces)"
        for text, found in faces.items()
    ]


def _check_face(vector: AUVector, face: int) -> list[Conflict]:
    active = [
        {n for n, value in zip(vector.units, side[face].tolist(), strict=True) if value > 0}
        for side in vector.sides()
    ]
    found = []
    for rule in CONFLICTS:
        left, right = (
            units.issuperset(rule.units) and not (rule.unless and units.issuperset(rule.unless))
            for units in active
        )
        if left or right:
            side = "both" if left and right else "left" if left else "right"
            found.append(Conflict(rule.units, rule.kind, rule.reason, side, face))
    return [conflict for conflict in found if not any(_inside(conflict, other) for other in found)]


def _inside(conflict: Conflict, other: Conflict) -> bool:
    return (
        set(conflict.units) < set(other.units)
        and conflict.kind == other.kind
        and other.side in ("both", conflict.side)
    )
