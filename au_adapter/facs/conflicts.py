"""Action Units that pull against each other: which sets, in what way, and why.

Kinds, after the way FACS treats co-occurring AUs: X exclude each other (FACS scores one of them), N
make a new appearance rather than a sum, M one masks the other. X deserves a warning; N works, but a
model that adds AUs linearly shows a weighted sum; M means that the weaker AU may not be seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .vector import AUVector

Kind = Literal["X", "N", "M"]


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


KINDS: dict[Kind, str] = {
    "X": "exclude each other",
    "N": "make a new look",
    "M": "one hides the other",
}

CONFLICTS = (
    Rule((1, 4), "N", "the inner brows are raised and drawn together at once: they slant"),
    Rule((2, 4), "N", "raised outer brows against lowered ones: a flatter brow, the furrow stays"),
    Rule(
        (1, 2, 4),
        "N",
        "the whole brow is raised against the pull down: straight, knitted, a wavy forehead",
    ),
    Rule((5, 7), "N", "the upper lid is lifted while the lids tighten: a glare"),
    Rule((5, 43), "X", "a lid cannot be raised and closed: keep one of them"),
    Rule(
        (4, 5), "M", "the lowered brow presses on the raised lid, which shows less", unless=(1, 2)
    ),
    Rule((5, 6), "M", "a strong cheek raise narrows the eye and hides the raised lid"),
    Rule((6, 7), "M", "two parts of one muscle: the cheek raise hides most of the lid tightening"),
    Rule((1, 9), "M", "the nose wrinkle drags the brow down"),
    Rule((2, 9), "M", "the nose wrinkle drags the brow down"),
    Rule((9, 10), "M", "both lift the upper lip: the nose wrinkle hides the lip raise"),
    Rule(
        (10, 15), "N", "the middle of the lip goes up, its corners down: a square, sneering mouth"
    ),
    Rule((10, 17), "N", "the upper lip is lifted and the lower lip follows from below"),
    Rule(
        (10, 15, 17),
        "N",
        "the lip is lifted, its corners go down, the chin pushes up: a square, sneering mouth",
    ),
    Rule((10, 16), "N", "the lips are drawn apart and show the teeth"),
    Rule(
        (12, 15),
        "N",
        "the corners are pulled up and down at once: nearly level, stretched, with folds outside",
    ),
    Rule(
        (12, 17), "N", "the chin pushes up under a stretched mouth: a pressed, straightened smile"
    ),
    Rule(
        (12, 15, 17), "N", "a smile held down at the corners and from below: pressed and straight"
    ),
    Rule((6, 12, 15), "N", "the cheeks smile, the corners do not"),
    Rule((6, 12, 15, 17), "N", "the cheeks smile, corners and chin hold the mouth back"),
    Rule((12, 20), "M", "both lengthen the mouth: the smile hides the stretch"),
    Rule((12, 23), "N", "a smile against tightened lips: it looks controlled"),
    Rule((12, 24), "N", "a smile against pressed lips: it looks controlled"),
    Rule((12, 14), "M", "both act at the lip corner: the dimpler only sharpens it"),
    Rule((15, 17), "N", "corners down and chin up: an inverted U with the lower lip pushed out"),
    Rule((15, 20), "N", "the corners go down and sideways at once"),
    Rule((16, 17), "X", "the lower lip cannot be pulled down and pushed up: keep one of them"),
    Rule((14, 23), "N", "corners and lips tighten together: the mouth shrinks"),
    Rule((18, 20), "X", "the mouth cannot grow narrow and long: keep one of them"),
    Rule((12, 18), "X", "the mouth cannot grow narrow and long: keep one of them"),
    Rule((22, 28), "X", "the lips cannot turn out and in: keep one of them"),
    Rule((23, 24), "M", "one muscle: pressing and tightening are hard to tell apart"),
    Rule((24, 25), "X", "the lips cannot be pressed together and parted: keep one of them"),
    Rule((24, 26), "X", "the lips cannot be pressed together over a dropped jaw: keep one of them"),
    Rule((24, 27), "X", "the lips cannot be pressed together in an open mouth: keep one of them"),
    Rule((25, 28), "X", "lips that are sucked in leave no gap: keep one of them"),
    Rule((26, 27), "X", "the mouth stretch takes the place of the jaw drop: keep one of them"),
    Rule((17, 25), "M", "parted lips leave little for the raised chin to show"),
    Rule((17, 26), "M", "a dropped jaw leaves little for the raised chin to show"),
    Rule((17, 27), "M", "an open jaw leaves little for the raised chin to show"),
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
    left, right = (
        {
            number
            for number, value in zip(vector.units, side[face].tolist(), strict=True)
            if value > 0
        }
        for side in vector.sides()
    )
    found = []
    for rule in CONFLICTS:
        sides = [
            name for name, active in (("left", left), ("right", right)) if _applies(rule, active)
        ]
        if sides:
            side = "both" if len(sides) == 2 else sides[0]
            found.append(Conflict(rule.units, rule.kind, rule.reason, side, face))
    return [conflict for conflict in found if not any(_inside(conflict, other) for other in found)]


def _applies(rule: Rule, active: set[int]) -> bool:
    return active.issuperset(rule.units) and not (rule.unless and active.issuperset(rule.unless))


def _inside(conflict: Conflict, other: Conflict) -> bool:
    return (
        set(conflict.units) < set(other.units)
        and conflict.kind == other.kind
        and other.side in ("both", conflict.side)
    )
