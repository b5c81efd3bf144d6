"""Captions of renders, in a closed vocabulary. Left and right are the picture's."""

from __future__ import annotations

import numpy as np

from . import sample
from .sample import Expression, Person, Scene

OPENINGS = ("", "a photo of", "a portrait of", "a close-up of", "a picture of", "a headshot of")
HAIR_WORDS = {
    "short": "short {} hair",
    "cropped": "very short {} hair",
    "swept": "swept back {} hair",
    "long": "long {} hair",
    "bob": "a {} bob",
    "fringe": "long {} hair with a fringe",
    "tied": "{} hair tied back",
    "curly": "short curly {} hair",
    "bald": "a bald head",
}
BEARD_WORDS = {"stubble": "stubble", "beard": "a {} beard", "moustache": "a {} moustache"}
PLACES = {
    "park": "in a park",
    "sky": "against the sky",
    "office": "in an office",
    "beach": "at the beach",
    "city": "in a city at night",
    "forest": "in a forest",
    "sunset": "at sunset",
    "room": "in a room",
}
DROP = 0.25  # chance that an attribute goes unnamed


def caption(person: Person, scene: Scene, expression: Expression, rng: np.random.Generator) -> str:
    """One caption, such as "a close-up of a young man with dark skin, facing left"."""

    def named() -> bool:
        return rng.random() > DROP

    age = person.age if named() else ""
    who = f"{age} {person.gender}".strip()
    parts = [f"{'an' if who[0] in 'aeiou' else 'a'} {who}"]
    traits = [trait for trait in _traits(person) if named()]
    rng.shuffle(traits)
    if traits:
        parts[0] += " with " + " and ".join(filter(None, [", ".join(traits[:-1]), traits[-1]]))
    if person.glasses and rng.random() > DROP / 2:
        parts.append("wearing glasses")
    if named():
        parts.append(f"{rng.choice(['wearing', 'in'])} a {person.cloth} {person.garment}")
    parts += _pose(scene, rng)
    if expression.mood:
        parts.insert(1, expression.mood)
    if named():
        parts.append(_background(scene, rng))
    opening = OPENINGS[rng.integers(len(OPENINGS))]
    return f"{opening} {', '.join(parts)}".strip()


def _traits(person: Person) -> list[str]:
    hair = HAIR_WORDS[person.hair_style].format(person.hair_colour)
    traits = [f"{person.skin} skin", hair, f"{person.eyes} eyes"]
    if person.beard != "none":
        traits.append(BEARD_WORDS[person.beard].format(person.hair_colour))
    if person.freckles > 0.5:
        traits.append("freckles")
    return traits


def _pose(scene: Scene, rng: np.random.Generator) -> list[str]:
    words = []
    if abs(scene.yaw) > 10:
        words.append("facing " + ("right" if scene.yaw > 0 else "left"))
    elif abs(scene.yaw) < 4 and rng.random() < 0.4:
        words.append("facing the camera")
    if abs(scene.pitch) > 8:
        words.append("looking " + ("up" if scene.pitch > 0 else "down"))
    return words


def _background(scene: Scene, rng: np.random.Generator) -> str:
    name = scene.background
    if scene.background_kind == "scene" and rng.random() < 0.5:
        return PLACES[name]
    return f"{name} background" if rng.random() < 0.7 else f"on a {name} background"


def vocabulary() -> list[str]:
    """Every word of the captions, and the comma, sorted."""
    fixed = (
        "a an , and with wearing glasses in facing left right the camera looking up down "
        "background on smiling making face man woman young middle-aged old skin eyes freckles"
    )
    texts = [fixed, *OPENINGS, *HAIR_WORDS.values(), *BEARD_WORDS.values(), *PLACES.values()]
    texts += [*sample.HAIR_COLOURS, *sample.EYE_COLOURS, *sample.CLOTH_COLOURS]
    texts += [*sample.GARMENTS, *sample.PLAIN, *sample.SCENES]
    texts += [skin for skin, _ in sample.SKINS]
    return sorted({word for text in texts for word in text.split() if word != "{}"})
