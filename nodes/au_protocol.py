"""AU Protocol: what a paper's test asks for, part by part, for a graph to draw and measure."""

from __future__ import annotations

from au_adapter.evaluation.protocols import Row, load_part
from au_adapter.facs import SET_A, AUVector

from .au_vector import ALIASES
from .compat import io
from .node import Node
from .sockets import CATEGORY, AUVectorSocket

PROTOCOLS = ("fineface", "magicface")  # others choose among labelled frames, which no graph has
MOST = 4096


class AUProtocol(Node):
    emits_vectors = True

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="AUA_AUProtocol",
            display_name="AU Protocol",
            category=CATEGORY,
            description="The AU vectors, prompt and seed of one part of a paper's test protocol, "
            "for AU Evaluator. Queue once for each prompt or photo; from a shell, `au-adapter "
            "evaluate` runs a whole one.",
            search_aliases=[*ALIASES, "benchmark", "evaluation", "paper", "FineFace", "MagicFace"],
            inputs=[
                io.Combo.Input(
                    "protocol",
                    options=list(PROTOCOLS),
                    tooltip="fineface: 15 prompts, each with 12 AUs at 1 to 5 and 50 combinations; "
                    "intensities. magicface: 20 photos, each with 12 AUs at 1 to 5 and 387 "
                    "combinations; changes.",
                ),
                io.Int.Input(
                    "number",
                    default=1,
                    min=1,
                    max=MOST,
                    control_after_generate=True,
                    tooltip="Which prompt or photo, from 1. On increment, 15 runs go through all "
                    "prompts of fineface.",
                ),
                io.Int.Input(
                    "first",
                    default=1,
                    min=1,
                    max=MOST,
                    tooltip="The first row of AUs to take, from 1.",
                ),
                io.Int.Input(
                    "rows",
                    default=10,
                    min=0,
                    max=MOST,
                    tooltip="How many rows at most: they are drawn in one batch. 0: all the rest.",
                ),
            ],
            outputs=[
                AUVectorSocket.Output(
                    tooltip="No AUs first, the picture to compare with; then the rows."
                ),
                io.String.Output(display_name="prompt", tooltip="Empty where a photo is edited."),
                io.Int.Output(display_name="seed", tooltip="The same for all rows."),
                io.Int.Output(display_name="batch_size", tooltip="Rows and the one without AUs."),
                io.String.Output(display_name="labels", tooltip="One line for each vector."),
            ],
        )

    @classmethod
    def execute(cls, protocol: str, number: int, first: int, rows: int) -> io.NodeOutput:
        reference, asked = load_part(protocol, number)
        chosen = [reference, *_chosen(asked, first, rows)]
        vectors = AUVector.stack([AUVector.from_dict(row.requested, SET_A) for row in chosen])
        labels = "\n".join(row.id for row in chosen)
        return io.NodeOutput(vectors, reference.prompt, reference.seed, len(chosen), labels)


def _chosen(rows: list[Row], first: int, most: int) -> list[Row]:
    if first > len(rows):
        raise ValueError(f"this part has {len(rows)} rows, found first {first}: choose 1 or more")
    return rows[first - 1 :][: most or None]


NODES = (AUProtocol,)
