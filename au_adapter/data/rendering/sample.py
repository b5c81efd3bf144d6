"""Random people, scenes and expressions from seeds: equal seeds make equal pictures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np

from ...facs import PRESETS, SET_A, parse_notation
from .head import MIDDLE_UNITS, MODES, UNITS

Colour = tuple[float, float, float]

# Linear-light-ish albedos; each with the word that a caption uses.
SKINS: tuple[tuple[str, Colour], ...] = (
    ("pale", (0.93, 0.76, 0.69)), ("fair", (0.90, 0.70, 0.60)), ("light", (0.84, 0.62, 0.50)),
    ("olive", (0.76, 0.56, 0.41)), ("tan", (0.68, 0.46, 0.34)), ("brown", (0.52, 0.33, 0.24)),
    ("dark", (0.46, 0.30, 0.225)), ("black", (0.37, 0.24, 0.185)),
)  # fmt: skip
HAIR_COLOURS: dict[str, Colour] = {
    "black": (0.10, 0.085, 0.08), "brown": (0.20, 0.115, 0.065), "blond": (0.62, 0.45, 0.24),
    "red": (0.46, 0.17, 0.07), "grey": (0.50, 0.50, 0.50),
}  # fmt: skip
EYE_COLOURS: dict[str, Colour] = {
    "brown": (0.26, 0.14, 0.06), "blue": (0.30, 0.43, 0.56), "green": (0.29, 0.39, 0.27),
    "grey": (0.42, 0.46, 0.50),
}  # fmt: skip
CLOTH_COLOURS: dict[str, Colour] = {
    "red": (0.66, 0.10, 0.10), "blue": (0.12, 0.24, 0.58), "green": (0.12, 0.42, 0.20),
    "yellow": (0.85, 0.68, 0.15), "white": (0.88, 0.88, 0.86), "black": (0.06, 0.06, 0.07),
    "orange": (0.85, 0.38, 0.09), "purple": (0.37, 0.16, 0.48), "pink": (0.86, 0.45, 0.55),
    "grey": (0.42, 0.42, 0.44),
}  # fmt: skip
GARMENTS = ("sweater", "shirt", "turtleneck", "jacket")
PLAIN = {
    "red": (0.62, 0.16, 0.15), "green": (0.20, 0.48, 0.26), "blue": (0.22, 0.38, 0.68),
    "yellow": (0.88, 0.74, 0.32), "white": (0.92, 0.92, 0.91), "grey": (0.52, 0.53, 0.55),
    "black": (0.08, 0.08, 0.09), "orange": (0.88, 0.50, 0.20), "purple": (0.42, 0.26, 0.56),
    "pink": (0.90, 0.64, 0.70),
}  # fmt: skip
SCENES = ("park", "sky", "office", "beach", "city", "forest", "sunset", "room")
RESTING_SHAPES = ("browDown", "browOuterUp", "eyeSquint", "mouthSmile", "mouthFrown")
EXPRESSIONS = ("neutral", "au", "full", "sided", "base", "expressive", "natural")
ONE_SIDED = {"full": 0.25, "sided": 0.75}  # how often an AU is on one side alone
CHOOSING = ("au", *ONE_SIDED)  # the modes that draw from chosen AUs

# The mode "natural": the recipes of facs.presets, stronger, weaker and incomplete.
# The number of recipes in use: more of them would change the faces of every seed.
RECIPES = 45
STRENGTH = (0.2, 1.4)  # of a recipe as a whole
VARIATION = 0.3  # of each unit by itself
LEFT_OUT = 0.12  # how often a unit of the recipe is missing
VARIANT = 0.3  # how often a unit that some people show is there
STRANGER = 0.2  # how often a unit that is not in the recipe is there
UNEVEN = 0.3  # how often one side is weaker


@dataclass(frozen=True)
class Person:
    """The appearance of one identity."""

    identity: int
    weights: np.ndarray  # [MODES], standard normal scale
    gender: str
    age: str
    age_amount: float  # 0 young .. 1 old
    skin: str
    skin_colour: Colour
    redness: float
    freckles: float
    hair_style: str
    hair_colour: str
    hair_tint: Colour
    hairline: float
    part: float
    volume: float
    brow_strength: float
    brow_tint: Colour
    beard: str
    eyes: str
    eye_colour: Colour
    lip_tint: Colour
    makeup: float
    glasses: bool
    glasses_tint: Colour
    garment: str
    cloth: str
    cloth_colour: Colour
    texture_seed: int
    rest: dict[str, float]  # shape with its side -> weight: how a relaxed face is uneven


@dataclass(frozen=True)
class Scene:
    """Pose, camera, light and background of one picture."""

    yaw: float  # degrees, positive = towards the picture's right
    pitch: float  # degrees, positive = up
    roll: float  # degrees, positive = clockwise in the picture
    gaze: tuple[float, float]
    shift: tuple[float, float]  # of the head, centimetres
    zoom: float
    key_direction: tuple[float, float, float]
    key_colour: Colour
    ambient_top: Colour
    ambient_bottom: Colour
    rim: float
    background: str
    background_kind: str
    background_colour: Colour
    background_seed: int


@dataclass(frozen=True)
class Expression:
    """Units in 0..5 a side, and the mood word a caption may use."""

    left: dict[int, float] = field(default_factory=dict)
    right: dict[int, float] = field(default_factory=dict)
    mood: str = ""

    def units(self) -> dict[int, float]:
        """Unit -> mean of both sides."""
        both = sorted(set(self.left) | set(self.right))
        return {u: (self.left.get(u, 0.0) + self.right.get(u, 0.0)) / 2 for u in both}


def _jitter(rng: np.random.Generator, colour: Colour, amount: float) -> Colour:
    shade = rng.normal(0, amount)
    spread = float(max(colour) - min(colour)) / max(colour)  # greys stay grey
    hue = rng.normal(0, amount * min(0.08 + spread, 0.35), 3)
    return _floats(np.clip(np.array(colour) * (1 + shade + hue), 0.02, 0.98))


def _floats(values: Iterable[float]) -> tuple[float, ...]:
    return tuple(map(float, values))


def _pick(rng: np.random.Generator, names, weights=None) -> str:
    names = list(names)
    chances = None if weights is None else np.array(weights, float) / np.sum(weights)
    return names[int(rng.choice(len(names), p=chances))]


def sample_person(identity: int, masculine: np.ndarray) -> Person:
    """The person of this number; masculine is the model's direction in mode space [MODES]."""
    rng = np.random.default_rng([71, identity])
    gender = _pick(rng, ("man", "woman"))
    man = gender == "man"
    age = _pick(rng, ("young", "middle-aged", "old"), (0.5, 0.28, 0.22))
    ages = {"young": (0, 0.2), "middle-aged": (0.35, 0.6), "old": (0.75, 1.0)}
    age_amount = {name: rng.uniform(*span) for name, span in ages.items()}[age]
    weights = np.clip(rng.normal(size=MODES) * 0.85, -2.2, 2.2)
    weights = weights + masculine * (1.0 if man else -1.7)
    tone = int(rng.integers(len(SKINS)))
    skin, colour = SKINS[tone]
    hair = _pick(rng, HAIR_COLOURS, _hair_chances(age, tone))
    tint = _jitter(rng, HAIR_COLOURS[hair], 0.14)
    styles, odds = _hair_styles(man, tone)
    dark_brow = 0.75 if hair in ("black", "brown") else 0.5
    beards, chances = ("none", "stubble", "beard", "moustache"), (0.5, 0.22, 0.2, 0.08)
    eye_odds = (0.36, 0.32, 0.2, 0.12) if tone < 3 else (0.9, 0.03, 0.05, 0.02)
    eyes = _pick(rng, EYE_COLOURS, eye_odds)
    makeup = 0.0 if man else float(rng.choice([0.15, 0.5, 0.9]))
    redder = np.array([0.88, 0.6, 0.58]) if man or makeup < 0.3 else np.array([0.85, 0.46, 0.47])
    skin_colour = _jitter(rng, colour, 0.035)
    lip = np.array(skin_colour) * redder * (1.12 if tone > 4 else 1.0) + (0.03, 0.0, 0.01)
    cloth = _pick(rng, CLOTH_COLOURS)
    return Person(
        identity=identity,
        weights=weights.astype(np.float32),
        gender=gender,
        age=age,
        age_amount=float(age_amount),
        skin=skin,
        skin_colour=skin_colour,
        redness=float(rng.uniform(0.2, 1.0)),
        freckles=float(rng.uniform(0.4, 1)) if tone < 3 and rng.random() < 0.22 else 0.0,
        hair_style=_pick(rng, styles, odds),
        hair_colour=hair,
        hair_tint=tint,
        hairline=float(rng.normal(0, 0.35) + (0.8 * age_amount if man else 0)),
        part=float(rng.choice([-1, 1]) * rng.uniform(0.2, 0.7)),
        volume=float(rng.uniform(0.75, 1.3)),
        brow_strength=float(rng.uniform(0.8, 1.15) if man else rng.uniform(0.55, 0.9)),
        brow_tint=_floats(c * dark_brow for c in tint),
        beard=_pick(rng, beards, chances) if man else "none",
        eyes=eyes,
        eye_colour=_jitter(rng, EYE_COLOURS[eyes], 0.12),
        lip_tint=_floats(np.clip(lip, 0.03, 0.95)),
        makeup=makeup,
        glasses=bool(rng.random() < 0.13),
        glasses_tint=((0.05, 0.05, 0.05), (0.28, 0.14, 0.07), (0.45, 0.42, 0.4))[rng.integers(3)],
        garment=_pick(rng, GARMENTS),
        cloth=cloth,
        cloth_colour=_jitter(rng, CLOTH_COLOURS[cloth], 0.08),
        texture_seed=int(rng.integers(2**31)),
        rest=_resting_face(rng),
    )


def _hair_chances(age: str, tone: int) -> tuple[float, ...]:
    """The chances of HAIR_COLOURS for a skin, numbered as in SKINS."""
    if age == "old":
        return (0.08, 0.1, 0.07, 0.02, 0.73)
    return (0.18, 0.34, 0.30, 0.14, 0.04) if tone < 3 else (0.55, 0.38, 0.02, 0.01, 0.04)


def _hair_styles(man: bool, tone: int) -> tuple[tuple[str, ...], tuple[float, ...]]:
    if man:
        styles = ("bald", "short", "cropped", "swept", "long", "curly")
        return styles, (0.14, 0.34, 0.2, 0.24, 0.08, 0.1 if tone < 5 else 0.5)
    styles = ("long", "fringe", "tied", "bob", "short", "curly")
    return styles, (0.38, 0.16, 0.16, 0.2, 0.1, 0.15 if tone < 5 else 0.6)


def _resting_face(rng: np.random.Generator) -> dict[str, float]:
    """Weights of the shapes that make a relaxed face slightly uneven."""
    rest = {}
    for shape in RESTING_SHAPES:
        both = rng.normal(0, 0.07)
        for side in ("_L", "_R"):
            rest[shape + side] = float(np.clip(both + rng.normal(0, 0.05), -0.2, 0.2))
    return rest


def sample_scene(rng: np.random.Generator, pose_spread: float = 1.0) -> Scene:
    """A pose, a gaze, a light and a background.

    pose_spread scales how far heads and eyes turn away: 1 every pose, 0 all face the camera.
    """
    angle, height = rng.normal(0, 0.75), rng.uniform(0.25, 0.75)
    key = np.array([np.sin(angle), height, max(np.cos(angle), 0.25)])
    warm = rng.uniform(-1, 1)
    power = rng.uniform(0.85, 1.1)
    fill = rng.uniform(0.30, 0.5)
    scenic = rng.random() < 0.4
    name = _pick(rng, SCENES if scenic else PLAIN)
    kind = "scene" if scenic else ("gradient" if rng.random() < 0.5 else "plain")
    colour = (0.5, 0.5, 0.5) if scenic else _jitter(rng, PLAIN[name], 0.07)
    gaze = rng.normal(0, 0.14, 2).clip(-0.4, 0.4) * pose_spread
    return Scene(
        yaw=float(np.clip(rng.normal(0, 12), -35, 35) * pose_spread),
        # Portraits are taken from eye height.
        pitch=float(np.clip(rng.normal(-2.5, 6), -17, 14) * pose_spread),
        roll=float(np.clip(rng.normal(0, 4), -10, 10) * pose_spread),
        gaze=_floats(gaze),
        shift=_floats(rng.normal(0, 0.25, 2)),
        zoom=float(rng.uniform(0.95, 1.05)),
        key_direction=_floats(key / np.linalg.norm(key)),
        key_colour=_floats(np.array([1 + 0.07 * warm, 1, 1 - 0.1 * warm]) * power),
        ambient_top=_floats(fill * np.array([1 - 0.05 * warm, 1, 1 + 0.07 * warm])),
        ambient_bottom=_floats(fill * 0.62 * np.array([1.08, 0.98, 0.92])),
        rim=float(rng.uniform(0, 0.5)),
        background=name,
        background_kind=kind,
        background_colour=colour,
        background_seed=int(rng.integers(2**31)),
    )


def _random_units(rng: np.random.Generator, units, count: int) -> dict[int, float]:
    chosen = rng.choice(len(units), size=min(count, len(units)), replace=False)
    return {int(units[i]): float(rng.uniform(0, 5)) for i in sorted(chosen)}


def _au_count(rng: np.random.Generator) -> int:
    kind = rng.choice(4, p=[0.08, 0.32, 0.25, 0.35])
    return int(kind) if kind < 3 else int(rng.integers(3, 7))


def check_expressions(mode: str, chosen: Sequence[int] = ()) -> None:
    """ValueError for a mode not in EXPRESSIONS, and for chosen AUs that it cannot draw from."""
    if mode not in EXPRESSIONS:
        raise ValueError(f"expressions must be one of {', '.join(EXPRESSIONS)}, found {mode!r}")
    if chosen and mode not in CHOOSING:
        known = ", ".join(CHOOSING)
        raise ValueError(f"only the expressions {known} draw from units, not {mode}")
    if not set(chosen) <= set(UNITS):
        raise ValueError(
            f"units must be among the AUs that can be rendered, {', '.join(map(str, UNITS))}; "
            f"found {', '.join(map(str, chosen))}"
        )


def sample_expression(
    rng: np.random.Generator, mode: str, chosen: tuple[int, ...] = ()
) -> Expression:
    """An expression of one of the modes in EXPRESSIONS.

    chosen: the AUs that "au", "full" and "sided" draw from, instead of set A and all.
    """
    if mode == "au":
        units = _random_units(rng, chosen or SET_A, _au_count(rng))
        return Expression(units, dict(units))
    if mode in ONE_SIDED:
        units = _random_units(rng, chosen or UNITS, _au_count(rng))
        left, right = dict(units), dict(units)
        for number in units:
            if number not in MIDDLE_UNITS and rng.random() < ONE_SIDED[mode]:
                (left if rng.random() < 0.5 else right)[number] = 0.0
        return Expression(left, right)
    if mode == "natural":
        return Expression(*natural_sides(rng))
    chance = 1.0 if mode == "expressive" else rng.random()
    if mode == "neutral" or chance < 0.5:
        units = {u: float(rng.uniform(0, 0.5)) for u in SET_A if rng.random() < 0.3}
        return Expression(units, dict(units))
    if chance < 0.7:
        smile = rng.uniform(1.2, 4.5)
        units = {6: smile * rng.uniform(0.4, 0.9), 12: smile, 25: smile * rng.uniform(0, 0.9)}
        return Expression(units, dict(units), "smiling")
    units = _random_units(rng, SET_A, max(_au_count(rng), 1))
    return Expression(units, dict(units), "making a face")


def natural_sides(rng: np.random.Generator) -> tuple[dict[int, float], dict[int, float]]:
    """Units in 0..5 of the left and the right side, of one random recipe."""
    recipe = PRESETS[list(PRESETS)[int(rng.integers(RECIPES))]]
    codes = {c: v for c, v in parse_notation(recipe.full).items() if rng.random() >= LEFT_OUT}
    codes |= {str(unit): 3.0 for unit in recipe.variants if rng.random() < VARIANT}
    if rng.random() < STRANGER:
        codes.setdefault(str(UNITS[int(rng.integers(len(UNITS)))]), 3.0)
    strength = rng.uniform(*STRENGTH)
    left, right = {}, {}
    for code, value in codes.items():
        unit = int(code.lstrip("LR"))
        if unit in UNITS:  # 11 is in recipes, but has no shape
            value = float(np.clip(value * strength * (1 + rng.normal(0, VARIATION)), 0, 5))
            left[unit] = 0.0 if code.startswith("R") else value
            right[unit] = 0.0 if code.startswith("L") else value
    if rng.random() < UNEVEN:  # units in the middle of the face have no sides
        weaker, share = (left, right)[int(rng.integers(2))], rng.uniform(0.3, 1.0)
        weaker |= {unit: v * share for unit, v in weaker.items() if unit not in MIDDLE_UNITS}
    return left, right


def appearance_words(person: Person, scene: Scene) -> dict[str, object]:
    """What to select pictures by; JSON types."""
    names = ("gender", "age", "skin", "hair_style", "hair_colour", "beard", "eyes", "glasses",
             "garment", "cloth")  # fmt: skip
    words = {name: value for name, value in asdict(person).items() if name in names}
    return {**words, "freckles": person.freckles > 0, "background": scene.background}
