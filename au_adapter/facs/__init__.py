"""FACS: Action Units, vectors of intensities, notation, recipes, conflicts, text both ways."""

from .change import change_of_aus
from .conflicts import CONFLICTS, Conflict, check, describe_conflicts
from .constructs import POLICIES, Construct, allocate, constructs
from .face_text import CLIP_TOKENS, WORDINGS, FaceText, count_tokens, describe, face_text
from .keyframes import EASINGS, Keyframe, Keyframes
from .notation import DEFAULT_INTENSITY, LETTERS, format_notation, parse_notation
from .presets import PRESETS, Preset, preset, read_presets
from .understanding import Understanding, is_notation, understand
from .units import ALL_UNITS, LIP_UNITS, REGIONS, SET_A, SET_B_EXTRA, UNITS, ActionUnit, unit
from .vector import AUVector

__all__ = [
    "ALL_UNITS", "CLIP_TOKENS", "CONFLICTS", "DEFAULT_INTENSITY", "EASINGS", "LETTERS",
    "LIP_UNITS", "POLICIES", "PRESETS", "REGIONS", "SET_A", "SET_B_EXTRA", "UNITS", "WORDINGS",
    "AUVector", "ActionUnit", "Conflict", "Construct", "FaceText", "Keyframe", "Keyframes",
    "Preset", "Understanding", "allocate", "change_of_aus", "check", "constructs",
    "count_tokens", "describe", "describe_conflicts", "face_text", "format_notation",
    "is_notation", "parse_notation", "preset", "read_presets", "understand", "unit",
]  # fmt: skip
