"""AU Protocol: what a paper's test asks for, part by part, for a graph to draw and measure."""

from __future__ import annotations

from au_adapter.evaluation.protocols import load_part
from au_adapter.facs import SET_A, AUVector

from .au_vector import ALIASES
from .compat import io
from .node import Node
from .sockets import AUVectorSocket

PROTOCOLS = ("fineface", "magicface")  # others choose among labelled frames, which no graph has
MOST = 4096


class AUProtocol(Node):
    """The AU vectors, prompt and seed of one part of a paper's test protocol, for AU Evaluator.
    Queue once for each prompt or photo; from a shell, `au-adapter evaluate` runs a whole one.

    protocol: fineface: 15 prompts, each with 12 AUs at 1 to 5 and 50 combinations; intensities.
        magicface: 20 photos, each with 12 AUs at 1 to 5 and 387 combinations; changes.
    number: Which prompt or photo, from 1. On increment, 15 runs go through all prompts of fineface.
    first: The first row of AUs to take, from 1.
    rows: How many rows at most: they are drawn in one batch. 0: all the rest.
    AU_VECTOR: No AUs first, the picture to compare with; then the rows.
    prompt: Empty where a photo is edited.
    seed: The same for all rows.
    batch_size: Rows and the one without AUs.
    labels: One line for each vector.
    """

    emits_vectors = True

    @classmethod
    def define_schema(cls) -> io.Schema:
        return cls.schema(
            "AU Protocol",
            family="read and measure",
            aliases=[*ALIASES, "benchmark", "evaluation", "paper"],
            inputs=[
                io.Combo.Input("protocol", options=list(PROTOCOLS)),
                io.Int.Input("number", default=1, min=1, max=MOST, control_after_generate=True),
                io.Int.Input("first", default=1, min=1, max=MOST),
                io.Int.Input("rows", default=10, min=0, max=MOST),
            ],
            outputs=[
                AUVectorSocket.Output(),
                io.String.Output(display_name="prompt"),
                io.Int.Output(display_name="seed"),
                io.Int.Output(display_name="batch_size"),
                io.String.Output(display_name="labels"),
            ],
        )

    @classmethod
    def execute(cls, protocol: str, number: int, first: int, rows: int) -> io.NodeOutput:
        reference, asked = load_part(protocol, number)
        if first > len(asked):
            raise ValueError(
                f"this part has {len(asked)} rows, found first {first}: choose 1 or more"
            )
        chosen = [reference, *asked[first - 1 :][: rows or None]]
        vectors = AUVector.stack([AUVector.from_dict(row.requested, SET_A) for row in chosen])
        labels = "\n".join(row.id for row in chosen)
        return io.NodeOutput(vectors, reference.prompt, reference.seed, len(chosen), labels)
