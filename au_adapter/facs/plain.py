"""What Action Units are called without FACS, and where on a face people look for them.

For pages and lists that lead with everyday words. FACS's own names are in `units`.
"""

from __future__ import annotations

#: Part of the face, from the top down -> the AUs of sets A and B, each once.
PLACES: dict[str, tuple[int, ...]] = {
    "Brows": (1, 2, 4),
    "Eyes and cheeks": (5, 7, 6),
    "Nose": (9,),
    "Mouth corners": (12, 15, 14, 20),
    "Lips": (10, 25, 23, 24),
    "Chin and jaw": (17, 26),
}

PLAIN_NAMES: dict[int, str] = {
    1: "Inner brows up",
    2: "Outer brows up",
    4: "Frown",
    5: "Eyes wide",
    6: "Cheeks up",
    7: "Lids tight",
    9: "Nose wrinkled",
    10: "Upper lip up",
    12: "Smile",
    14: "Dimples",
    15: "Corners down",
    17: "Chin up",
    20: "Mouth stretched",
    23: "Lips tight",
    24: "Lips pressed",
    25: "Lips apart",
    26: "Jaw open",
}
