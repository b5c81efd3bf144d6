"""The Action Units of FACS: number, name, muscles, place, and what is seen on the face.

Numbers and names follow Ekman, Friesen & Hager, Facial Action Coding System (2002). The
descriptions are this project's own words. Sides are always the subject's.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ActionUnit:
    """One code of FACS. `bilateral` says whether the left and the right half can act apart; codes
    without muscles are FACS's coarser Action Descriptors."""

    number: int
    name: str
    muscles: tuple[str, ...]
    region: str
    seen: str
    bilateral: bool = True


_TABLE = (
    ActionUnit(
        1,
        "Inner brow raiser",
        ("frontalis, medial part",),
        "brow and forehead",
        "the inner ends of the brows rise and slant, short lines cross the middle of the forehead",
    ),
    ActionUnit(
        2,
        "Outer brow raiser",
        ("frontalis, lateral part",),
        "brow and forehead",
        "the outer brows arch upwards, the fold over the lids stretches, lines stand above them",
    ),
    ActionUnit(
        4,
        "Brow lowerer",
        ("corrugator supercilii", "depressor supercilii", "procerus"),
        "brow and glabella",
        "the brows come down and together, upright furrows stand between them",
    ),
    ActionUnit(
        5,
        "Upper lid raiser",
        ("levator palpebrae superioris", "superior tarsal"),
        "eye",
        "the upper lids rise, more of the iris or white shows above, the look becomes a stare",
    ),
    ActionUnit(
        6,
        "Cheek raiser and lid compressor",
        ("orbicularis oculi, orbital part",),
        "cheek and eye",
        "the cheeks lift, skin gathers towards the eyes, crow's feet and lower-lid pouches appear",
    ),
    ActionUnit(
        7,
        "Lid tightener",
        ("orbicularis oculi, palpebral part",),
        "eye",
        "the lower lids rise and straighten, the eyes narrow while the cheeks stay down",
    ),
    ActionUnit(
        8,
        "Lips toward each other",
        ("orbicularis oris",),
        "lips",
        "the lips approach each other over parted teeth and flatten against them",
        bilateral=False,
    ),
    ActionUnit(
        9,
        "Nose wrinkler",
        ("levator labii superioris alaeque nasi",),
        "nose and middle of the face",
        "wrinkles climb the root of the nose, the nostril wings and the upper lip lift, the brows "
        "are drawn down a little",
    ),
    ActionUnit(
        10,
        "Upper lip raiser",
        ("levator labii superioris",),
        "upper lip",
        "the upper lip rises most near its middle and bends, the fold beside the nose deepens",
    ),
    ActionUnit(
        11,
        "Nasolabial deepener",
        ("zygomaticus minor",),
        "middle of the face",
        "the upper and middle part of the fold from nose to mouth deepens, the lips hardly move",
    ),
    ActionUnit(
        12,
        "Lip corner puller",
        ("zygomaticus major",),
        "mouth corner",
        "the lip corners go back and up, the folds from nose to mouth deepen, the cheeks fill",
    ),
    ActionUnit(
        13,
        "Sharp lip puller",
        ("levator anguli oris",),
        "mouth corner",
        "the lip corners go straight up and sharpen, the cheeks puff above them",
    ),
    ActionUnit(
        14,
        "Dimpler",
        ("buccinator",),
        "mouth corner",
        "the lip corners tighten inwards against the teeth, dimple-like wrinkles outside them",
    ),
    ActionUnit(
        15,
        "Lip corner depressor",
        ("depressor anguli oris",),
        "mouth corner and side of the chin",
        "the lip corners go down, the skin below them bulges or wrinkles",
    ),
    ActionUnit(
        16,
        "Lower lip depressor",
        ("depressor labii inferioris",),
        "lower lip",
        "the lower lip is drawn down and outwards, lower teeth may show, the chin flattens",
    ),
    ActionUnit(
        17,
        "Chin raiser",
        ("mentalis",),
        "chin and lower lip",
        "the chin is pushed up and dimpled, the lower lip rises, the mouth is an inverted U",
        bilateral=False,
    ),
    ActionUnit(
        18,
        "Lip pucker",
        ("incisivii labii superioris", "incisivii labii inferioris"),
        "lips",
        "the mouth grows narrow and is pushed forward in a small pout",
        bilateral=False,
    ),
    ActionUnit(
        19,
        "Tongue show",
        (),
        "mouth",
        "the tongue is seen between or beyond the lips",
        bilateral=False,
    ),
    ActionUnit(
        20,
        "Lip stretcher",
        ("risorius", "platysma"),
        "mouth corner",
        "the lip corners are drawn sideways, the lips become long and flat",
    ),
    ActionUnit(
        21,
        "Neck tightener",
        ("platysma",),
        "neck",
        "cords and wrinkles stand out on the neck under the jaw",
    ),
    ActionUnit(
        22,
        "Lip funneler",
        ("orbicularis oris",),
        "lips",
        "the lips turn out and forward like a funnel, usually parted",
        bilateral=False,
    ),
    ActionUnit(
        23,
        "Lip tightener",
        ("orbicularis oris",),
        "lips",
        "the lips tighten, their red part narrows, fine wrinkles surround them",
    ),
    ActionUnit(
        24,
        "Lip pressor",
        ("orbicularis oris",),
        "lips",
        "the lips press on each other and bulge above or below the red part, the chin stays quiet",
    ),
    ActionUnit(
        25,
        "Lips part",
        ("depressor labii inferioris", "mentalis relaxed", "orbicularis oris relaxed"),
        "lips",
        "a gap opens between the lips, the jaw need not drop",
        bilateral=False,
    ),
    ActionUnit(
        26,
        "Jaw drop",
        ("masseter relaxed", "temporalis relaxed", "internal pterygoid relaxed"),
        "jaw",
        "the jaw falls by its own weight and the teeth come apart",
        bilateral=False,
    ),
    ActionUnit(
        27,
        "Mouth stretch",
        ("pterygoids", "digastric"),
        "jaw",
        "the jaw is pulled wide open, the mouth becomes a long oval and the cheeks flatten",
        bilateral=False,
    ),
    ActionUnit(
        28,
        "Lip suck",
        ("orbicularis oris",),
        "lips",
        "the lips roll in over the teeth and their red part vanishes",
        bilateral=False,
    ),
    ActionUnit(29, "Jaw thrust", (), "jaw", "the lower jaw moves forward", bilateral=False),
    ActionUnit(30, "Jaw sideways", (), "jaw", "the lower jaw moves to one side"),
    ActionUnit(
        31, "Jaw clencher", ("masseter",), "jaw", "the muscle over the angle of the jaw bulges"
    ),
    ActionUnit(32, "Lip bite", (), "lips", "teeth hold a lip"),
    ActionUnit(33, "Cheek blow", (), "cheek", "air leaves through the lips and the cheeks swell"),
    ActionUnit(34, "Cheek puff", (), "cheek", "the cheeks swell while the lips hold the air"),
    ActionUnit(35, "Cheek suck", (), "cheek", "the cheeks are drawn in between the teeth"),
    ActionUnit(
        36, "Tongue bulge", (), "cheek", "the tongue pushes out a cheek or a lip from within"
    ),
    ActionUnit(37, "Lip wipe", (), "lips", "the tongue passes over the lips"),
    ActionUnit(38, "Nostril dilator", ("nasalis, alar part",), "nose", "the nostrils widen"),
    ActionUnit(
        39,
        "Nostril compressor",
        ("nasalis, transverse part", "depressor septi nasi"),
        "nose",
        "the nostrils narrow",
    ),
    ActionUnit(
        43,
        "Eyes closed",
        ("levator palpebrae superioris relaxed",),
        "eye",
        "the upper lids fall; only at the maximum are the eyes shut",
    ),
    ActionUnit(
        45,
        "Blink",
        ("levator palpebrae superioris relaxed", "orbicularis oculi, palpebral part"),
        "eye",
        "both eyes shut and open again within half a second",
    ),
    ActionUnit(
        46, "Wink", ("orbicularis oculi",), "eye", "one eye is shut on purpose for a moment"
    ),
)

UNITS: dict[int, ActionUnit] = {unit.number: unit for unit in _TABLE}

#: The twelve AUs of DISFA, which FineFace, MagicFace and AUEditNet use.
SET_A = (1, 2, 4, 5, 6, 9, 12, 15, 17, 20, 25, 26)
#: What the twelve AUs of BP4D (VQ-AUFace) add to set A.
SET_B_EXTRA = (7, 10, 14, 23, 24)
SET_B = (1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24)  # VQ-AUFace's twelve
ALL_UNITS = tuple(sorted(SET_A + SET_B_EXTRA))

#: AUs that may be written for the top (T) or the bottom (B) lip alone.
LIP_UNITS = (8, 10, 16, 18, 22, 23, 24, 25, 28, 32)

# Parts of the face by words that stand in an AU's region.
_PLACES = {
    "brows": ("brow",),
    "eyes": ("eye",),
    "nose and cheeks": ("nose", "cheek", "middle of the face"),
    "mouth and jaw": ("lip", "mouth", "chin", "jaw"),
}
_UPPER = (*_PLACES["brows"], *_PLACES["eyes"])


def _in(words: tuple[str, ...]) -> tuple[int, ...]:
    return tuple(unit.number for unit in _TABLE if any(word in unit.region for word in words))


#: Part of the face -> the AUs seen there. FACS parts the face under the eyes: AU6 is upper.
REGIONS: dict[str, tuple[int, ...]] = {
    "all": tuple(UNITS),
    "upper face": _in(_UPPER),
    "lower face": tuple(number for number in UNITS if number not in _in(_UPPER)),
    **{place: _in(words) for place, words in _PLACES.items()},
}

#: Codes that cannot be written for a still picture, and what to write instead.
REFUSED = {
    41: "AU41 (lid droop) became a low grade of AU43 in 2002: write 43A or 43B",
    42: "AU42 (slit) became a middle grade of AU43 in 2002: write 43C or 43D",
    44: "AU44 (squint) became a high grade of AU7 in 2002: write 7D or 7E",
    45: "AU45 (blink) is a movement and cannot be seen in a still: write 43E for closed eyes",
    46: "AU46 (wink) is a movement and cannot be seen in a still: write L43E or R43E",
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
    codes folded into others in 2002 (41, 42, 44) and codes for head, eyes and visibility (50 and
    above).
    """
    if number in REFUSED:
        raise ValueError(REFUSED[number])
    if 50 <= number <= 79:
        raise ValueError(
            f"Code {number} describes head, eyes or visibility, not a facial action: leave it out"
        )
    return unit(number).number
