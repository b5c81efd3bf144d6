"""Count AU Vectors and AU Reading JSON: what other nodes hold, as a number and as a text."""

from __future__ import annotations

import json

from au_adapter.estimators.reading import ReadingSet
from au_adapter.facs import AUVector

from .compat import io
from .node import Node
from .sockets import AUReadingSocket, AUVectorSocket


class CountAUVectors(Node):
    """How many faces an AU_VECTOR holds: the batch size that its pictures need."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return cls.schema(
            "Count AU Vectors",
            family="expression",
            aliases=["batch size", "length", "number of pictures"],
            inputs=[AUVectorSocket.Input("au_vector")],
            outputs=[io.Int.Output(display_name="count")],
        )

    @classmethod
    def execute(cls, au_vector: AUVector) -> io.NodeOutput:
        return io.NodeOutput(len(au_vector))


class AUReadingJSON(Node):
    """All readings as a text for programs, laid out as `au-adapter estimate --json` writes them:
    every face of every picture with its box and AUs.

    au_reading: From AU Estimator.
    """

    @classmethod
    def define_schema(cls) -> io.Schema:
        return cls.schema(
            "AU Reading JSON",
            family="read and measure",
            aliases=["numbers", "export", "save text", "API"],
            inputs=[AUReadingSocket.Input("au_reading")],
            outputs=[io.String.Output(display_name="json")],
        )

    @classmethod
    def execute(cls, au_reading: ReadingSet) -> io.NodeOutput:
        return io.NodeOutput(json.dumps(au_reading.to_dict()))
