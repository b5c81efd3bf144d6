"""FACS: what an Action Unit is, vectors of intensities, notation, recipes and conflicts."""

from .change import change_of_aus
from .conflicts import CONFLICTS, Conflict, check, describe_conflicts
from .keyframes import EASINGS, Keyframe, Keyframes
from .notation import DEFAULT_INTENSITY, LETTERS, format_notation, parse_notation
from .presets import PRESETS, Preset, preset
from .units import ALL_UNITS, LIP_UNITS, REGIONS, SET_A, SET_B_EXTRA, UNITS, ActionUnit, unit
from .vector import AUVector

__all__ = [
    "ALL_UNITS",
    "CONFLICTS",
    "DEFAULT_INTENSITY",
    "EASINGS",
    "LETTERS",
    "LIP_UNITS",
    "PRESETS",
    "REGIONS",
    "SET_A",
    "SET_B_EXTRA",
    "UNITS",
    "AUVector",
    "ActionUnit",
    "Conflict",
    "Keyframe",
    "Keyframes",
    "Preset",
    "change_of_aus",
    "check",
    "describe_conflicts",
    "format_notation",
    "parse_notation",
    "preset",
    "unit",
]
