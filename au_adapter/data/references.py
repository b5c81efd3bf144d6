"""Which picture of a person is the reference that the person's other pictures are drawn from."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterable, Mapping, Sequence

SHOWN = 0.5  # intensity from which an AU counts as there, half a trace


def shows_none(aus: Mapping[str, float]) -> bool:
    """Whether a face is relaxed."""
    return all(value < SHOWN for value in aus.values())


def most_relaxed(people: Sequence[Hashable], strengths: Sequence[float]) -> dict[Hashable, int]:
    """Person -> the row of their picture of least strength, of equal ones the first."""
    from_strong = sorted(range(len(people)), key=lambda row: (-strengths[row], -row))
    return {people[row]: row for row in from_strong}


def choose_references(
    faces: Iterable[tuple[str, str, Mapping[str, float]]], seed: int = 0
) -> dict[str, str]:
    """Person -> the key of their reference, of faces (person, key, AUs) in order.

    VQ-AUFace, section 3.2: at random one of the person's pictures without AUs; where there is none,
    the first. The lot hangs on the key alone, so that more faces change few choices.
    """
    first: dict[str, str] = {}
    relaxed: dict[str, tuple[str, str]] = {}
    for person, key, aus in faces:
        first.setdefault(person, key)
        if shows_none(aus):
            drawn = _lot(key, seed), key
            relaxed[person] = min(relaxed.get(person, drawn), drawn)
    return {person: relaxed.get(person, ("", key))[1] for person, key in first.items()}


def _lot(key: str, seed: int) -> str:
    return hashlib.sha256(f"{seed} {key}".encode()).hexdigest()
