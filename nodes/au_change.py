"""AU Change: from Action Units read off photos to the change that MagicFace is asked for."""

from __future__ import annotations

from au_adapter.facs import REGIONS, AUVector, change_of_aus

from .au_vector import ALIASES
from .compat import io, show_text
from .node import FOLDED, Node
from .sockets import AUVectorSocket

NEUTRALISE, COPY = "neutralise", "copy"
SIDES = ("alike", "apart")
NOTHING = "no change"


class AUChange(Node):
    """By how much each Action Unit must change to relax the face of a photo, or to give it the
    expression of another: for Apply MagicFace and Paste Face.

    au_vector: Of the photo that is edited, from AU Estimator.
    change: neutralise: take back what the photo shows. copy: take it to the expression of the
        source.
    region: Only Action Units of this part of the face change. FACS parts the face under the eyes:
        raised cheeks (AU6) are upper face.
    strength: Share of the way: 0 changes nothing, 1 arrives, 2 goes twice as far.
    sides: alike: the mean of left and right, which is all that MagicFace knows. apart: as read, for
        AU Sides and an edit of each half.
    source: For copy: the expression to arrive at, from AU Estimator on another photo, or any AU
        vector. One for all photos, or one for each.
    AU_VECTOR: The change: -3 is three less than now.
    """

    emits_vectors = True

    @classmethod
    def define_schema(cls) -> io.Schema:
        return cls.schema(
            "AU Change",
            family="edit a photo",
            aliases=[*ALIASES, "copy expression", "transfer expression", "relax", "neutral face"],
            inputs=[
                AUVectorSocket.Input("au_vector"),
                io.Combo.Input("change", options=[NEUTRALISE, COPY]),
                io.Combo.Input("region", options=list(REGIONS)),
                io.Float.Input("strength", default=1.0, min=0.0, max=2.0, step=0.05),
                io.Combo.Input("sides", options=list(SIDES), **FOLDED),
                AUVectorSocket.Input("source", optional=True),
            ],
            outputs=[AUVectorSocket.Output()],
            shows_text=True,
        )

    @classmethod
    def execute(
        cls,
        au_vector: AUVector,
        change: str,
        region: str,
        strength: float,
        sides: str = SIDES[0],
        source: AUVector | None = None,
    ) -> io.NodeOutput:
        if change == COPY and source is None:
            raise ValueError(
                "copy needs the AUs to arrive at, and nothing is connected to source. "
                "Connect the AU vector of another photo, or choose neutralise."
            )
        target = source if change == COPY else None
        found = change_of_aus(au_vector, target, region, strength, sides == SIDES[1])
        show_text(cls, "\n".join(found.notation(n) or NOTHING for n in range(len(found))))
        return io.NodeOutput(found)
