"""AU Keyframes: an expression that changes over the frames of a clip."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from au_adapter.facs import EASINGS, AUVector, Keyframes, format_notation

from .au_vector import ALIASES
from .compat import io
from .node import Node
from .sockets import AUVectorSocket, FloatsSocket

EXAMPLE = "0:\n8: 6C+12D\n15: 1C+2C"


class AUKeyframes(Node):
    """One AU vector for each frame of a clip, from expressions at some of them. Set the batch size
    of the latent to the number of frames.

    frames: How many AU vectors, one for each picture of the batch.
    keyframes: A line for each: frame: FACS notation, and an easing to the next one if it differs
        from the one below, as in 12: 6C+12D hold. Frames count from 0; nothing behind the colon is
        the neutral face. Or JSON, such as this node puts out.
    easing: How the face gets from one keyframe to the next: even, slow at the start (in), at the
        end (out) or at both, or not before the next one (hold).
    au_vector: Added to every frame: one face, or one for each frame.
    weights: Factors on the keyframes, 0 = neutral, 1 = as they say: a list of one number for each
        frame, from a schedule or an audio pack, or one for all.
    labels: One line for each frame.
    json: The keyframes as JSON, which this node reads too.
    """

    emits_vectors = True

    @classmethod
    def define_schema(cls) -> io.Schema:
        return cls.schema(
            "AU Keyframes",
            family="expression",
            aliases=[*ALIASES, "animation", "face animation", "video", "schedule", "AnimateDiff"],
            inputs=[
                io.Int.Input("frames", default=16, min=1, max=4096),
                io.String.Input("keyframes", default=EXAMPLE, multiline=True),
                io.Combo.Input("easing", options=list(EASINGS), default="ease-in-out"),
                AUVectorSocket.Input("au_vector", optional=True),
                io.MultiType.Input("weights", types=[io.Float, FloatsSocket], optional=True),
            ],
            outputs=[
                AUVectorSocket.Output(),
                io.String.Output(display_name="labels"),
                io.String.Output(display_name="json"),
            ],
            is_input_list=True,  # other packs pass a list of numbers in one of two ways
        )

    @classmethod
    def execute(
        cls,
        frames: list[int],
        keyframes: list[str],
        easing: list[str],
        au_vector: list[AUVector] | None = None,
        weights: list[Any] | None = None,
    ) -> io.NodeOutput:
        keys = Keyframes.parse(keyframes[0], easing[0])
        vector = keys.vector(frames[0], None if weights is None else list(_numbers(weights)))
        vector = vector if au_vector is None else vector + au_vector[0]
        return io.NodeOutput(vector, "\n".join(_labels(vector)), keys.to_json())


def _numbers(values: Any) -> Iterable[float]:
    """The numbers in lists of any depth: a list of outputs, or one output that is a list."""
    if isinstance(values, (int, float)):
        yield float(values)
    else:
        for value in values:
            yield from _numbers(value)


def _labels(vector: AUVector) -> Iterable[str]:
    vector = vector.select(sorted(vector.units))
    for frame in range(len(vector)):
        rounded = {code: round(value, 2) for code, value in vector.dict(frame).items()}
        yield f"{frame}: {format_notation(rounded) or 'neutral'}"
