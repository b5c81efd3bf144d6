"""AU Correction: what to ask for so that the reading comes out as wanted."""

from __future__ import annotations

from au_adapter.estimators.reading import ReadingSet
from au_adapter.evaluation.closed_loop import STRONGEST, correct
from au_adapter.facs import AUVector

from .au_vector import ALIASES
from .compat import io, show_text
from .node import Node
from .sockets import AUReadingSocket, AUVectorSocket


class AUCorrection(Node):
    """Compares what was asked for with what was measured, and asks for more or less: draw the
    picture again with its output, from the same seed.

    au_vector: What the pictures were drawn with: one, or one for each.
    au_reading: What AU Estimator read in these pictures.
    gain: How much of the difference is added to the request: 1 = all of it, 0 = nothing changes.
        Less is safer where one AU pulls others along.
    strongest: The most that is ever asked for, in intensities; faces smear beyond about 8.
    wanted: What should be measured. Needed from the second correction on; in the first it is what
        the pictures were drawn with.
    AU_VECTOR: The next request, one vector for each picture.
    notes: Wanted, measured, asked for next.
    """

    @classmethod
    def define_schema(cls) -> io.Schema:
        return cls.schema(
            "AU Correction",
            family="read and measure",
            aliases=[*ALIASES, "closed loop", "calibrate", "target", "measured"],
            inputs=[
                AUVectorSocket.Input("au_vector"),
                AUReadingSocket.Input("au_reading"),
                io.Float.Input("gain", default=0.7, min=0.0, max=2.0, step=0.05),
                io.Float.Input("strongest", default=STRONGEST, min=0.0, max=10.0, step=0.5),
                AUVectorSocket.Input("wanted", optional=True),
            ],
            outputs=[AUVectorSocket.Output(), io.String.Output(display_name="notes")],
            shows_text=True,
        )

    @classmethod
    def execute(
        cls,
        au_vector: AUVector,
        au_reading: ReadingSet,
        gain: float,
        strongest: float,
        wanted: AUVector | None = None,
    ) -> io.NodeOutput:
        wanted = au_vector if wanted is None else wanted
        request = correct(au_vector, wanted, au_reading, gain, strongest)
        notes = "\n".join(_lines(request, wanted, au_reading))
        show_text(cls, notes)
        return io.NodeOutput(request, notes)


def _lines(request: AUVector, wanted: AUVector, seen: ReadingSet) -> list[str]:
    """One line a picture: AU12 wanted 3, measured 2.1, next 3.6."""
    lines = []
    for picture, reading in enumerate(seen.surest()):
        aims = wanted.dict(picture if len(wanted) > 1 else 0)
        found = "; ".join(
            f"AU{unit} wanted {aim:g}, measured {_value(reading.aus, unit):.1f}, next "
            f"{_value(request.face(picture), unit):.1f}"
            for unit, aim in (aims if reading else {}).items()
        )
        nothing = "nothing wanted" if reading else "no face, as before"
        lines.append(f"{picture + 1}: {found or nothing}")
    return lines


def _value(vector: AUVector, unit: str) -> float:
    return float(vector.select((int(unit),), strict=False).values)
