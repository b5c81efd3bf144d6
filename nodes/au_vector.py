"""AU Vector and AU Sweep: intensities of Action Units."""

from __future__ import annotations

import torch

from au_adapter.facs import ALL_UNITS, SET_A, SET_B_EXTRA, UNITS, AUVector

from .compat import io
from .node import Node
from .sockets import AUVectorSocket
from .sweep_list import PLACEHOLDER, list_of

# FACS's own range, so that the bar of a slider is the intensity: empty when absent, full at most.
SLIDER = {"default": 0.0, "min": 0.0, "max": 5.0, "step": 0.1}
SLIDER_TOOLTIP = "0 = absent, 1 trace .. 5 maximum (FACS A..E)."
RANGE_TOOLTIP = f"{SLIDER_TOOLTIP} Below 0 and above 5 extrapolates."
RANGE = {"min": -10.0, "max": 10.0, "step": 0.1, "tooltip": RANGE_TOOLTIP}
EMPTY = {"default": "", "optional": True}  # a text that may be left out
NOTATION_HINT = "FACS notation: 6C+12D, L14B, AU6:3.5"
# Search words: of all nodes that hold an expression, and of AU Vector alone.
ALIASES = ["FACS", "action units", "expression", "face"]
FOUND_BY = [
    *("facial expression", "smile", "frown", "wink", "squint", "pout", "muscle", "sliders"),
    *("eyebrow", "brow", "eyes", "eyelid", "cheek", "nose", "mouth", "lips", "chin", "jaw"),
]


def _title(number: int) -> str:
    return f"AU{number} {UNITS[number].name.lower()}"


def _slider(number: int) -> io.Float.Input:
    seen = UNITS[number].seen
    return io.Float.Input(
        f"au{number}",
        display_name=_title(number).split(" and ")[0],  # AU6's second half would squeeze the bars
        optional=True,
        display_mode=io.NumberDisplay.slider,
        advanced=number in SET_B_EXTRA,
        tooltip=f"{seen[0].upper()}{seen[1:]}. {SLIDER_TOOLTIP}",
        **SLIDER,
    )


class AUVectorNode(Node):
    """A facial expression: the intensity of each Action Unit (FACS).

    notation: Added to the sliders, in FACS notation: 6C+12D, L14B+R12A, AU6:3.5. Letters A..E are
        1..5, a bare code is 3; L and R are the sides of the person. Numbers may leave 0..5:
        AU12:-5.
    au_vector: Added to the sliders; one face, or N faces that each get them.
    """

    emits_vectors = True

    @classmethod
    def define_schema(cls) -> io.Schema:
        return cls.schema(
            "AU Vector",
            family="expression",
            aliases=[*ALIASES, *FOUND_BY, *(f"AU{unit}" for unit in ALL_UNITS)],
            inputs=[
                *map(_slider, SET_A),
                *map(_slider, SET_B_EXTRA),
                io.String.Input("notation", placeholder=NOTATION_HINT, **EMPTY),
                AUVectorSocket.Input("au_vector", optional=True),
            ],
            outputs=[AUVectorSocket.Output()],
        )

    @classmethod
    def execute(
        cls, notation: str = "", au_vector: AUVector | None = None, **sliders: float
    ) -> io.NodeOutput:
        values = {int(name.removeprefix("au")): float(value) for name, value in sliders.items()}
        vector = AUVector.from_dict(values, units=ALL_UNITS) + AUVector.parse(notation)
        return io.NodeOutput(vector if au_vector is None else vector + au_vector)


class AUSweep(Node):
    """N AU vectors: one Action Unit, or several, from one intensity to another, or a list of looks.
    Count AU Vectors sets the batch size of the latent: all its pictures then differ only in what is
    listed.

    unit: The Action Unit that changes.
    steps: How many AU vectors for each Action Unit, ends included.
    au_vector: The other Action Units, the same in every step; one face.
    expressions: Takes the place of unit where it says something. One a line, or between commas: an
        Action Unit (12, L12) runs through all steps; a look (happiness) or FACS notation (6C+12D)
        is one AU vector.
    labels: One line for each AU vector.
    """

    emits_vectors = True

    @classmethod
    def define_schema(cls) -> io.Schema:
        return cls.schema(
            "AU Sweep",
            family="expression",
            aliases=[*ALIASES, "grid", "batch", "range", "interpolate", "looks", "list"],
            inputs=[
                io.Combo.Input(
                    "unit", options=[_title(number) for number in ALL_UNITS], default=_title(12)
                ),
                io.Float.Input("start", display_name="from", default=0.0, **RANGE),
                io.Float.Input("stop", display_name="to", default=5.0, **RANGE),
                io.Int.Input("steps", default=6, min=1, max=4096),
                AUVectorSocket.Input("au_vector", optional=True),
                io.String.Input("expressions", multiline=True, placeholder=PLACEHOLDER, **EMPTY),
            ],
            outputs=[AUVectorSocket.Output(), io.String.Output(display_name="labels")],
        )

    @classmethod
    def execute(
        cls,
        unit: str,
        start: float,
        stop: float,
        steps: int,
        au_vector: AUVector | None = None,
        expressions: str = "",
    ) -> io.NodeOutput:
        levels = torch.linspace(start, stop, steps)
        sweep, labels = list_of(expressions if expressions.strip() else unit.split()[0], levels)
        if au_vector is not None:
            others = tuple(other for other in au_vector.units if other not in sweep.units)
            sweep = au_vector.select(others, strict=False) + sweep if others else sweep
        return io.NodeOutput(sweep, "\n".join(labels))
