"""Label Pictures: a batch as one picture, with a line of text below each."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from au_adapter.data.pictures import as_picture
from au_adapter.evaluation.contact_sheet import labelled_sheet

from .compat import io
from .node import Node


class LabelPictures(Node):
    """Puts a batch of pictures into one, in rows, each with its label below it.

    images: A batch, such as the pictures of a sweep.
    labels: One line a picture, such as the labels of AU Sweep.
    columns: Pictures in a row; 0 makes the sheet about square.
    """

    @classmethod
    def define_schema(cls) -> io.Schema:
        return cls.schema(
            "Label Pictures",
            family="read and measure",
            aliases=["contact sheet", "grid", "caption", "compare"],
            inputs=[
                io.Image.Input("images"),
                io.String.Input("labels", force_input=True),
                io.Int.Input("columns", default=0, min=0, max=64),
            ],
            outputs=[io.Image.Output(display_name="sheet")],
        )

    @classmethod
    def execute(cls, images: Tensor, labels: str, columns: int = 0) -> io.NodeOutput:
        lines = labels.splitlines()
        if len(lines) != len(images):
            raise ValueError(
                f"{len(lines)} labels for {len(images)} pictures: connect the labels of the node "
                "that made the AU vectors of these pictures, one line for each."
            )
        columns = columns or math.ceil(math.sqrt(len(images)))
        # In colour; what is transparent shows its colour.
        colours = images[..., :3].clamp(0, 1).expand(-1, -1, -1, 3)
        cells = [(line, as_picture(image)) for line, image in zip(lines, colours, strict=True)]
        rows = [cells[start : start + columns] for start in range(0, len(cells), columns)]
        sheet = labelled_sheet(rows, caption=max(20, images.shape[2] // 12))
        return io.NodeOutput(torch.from_numpy(np.array(sheet)).float().div(255).unsqueeze(0))
