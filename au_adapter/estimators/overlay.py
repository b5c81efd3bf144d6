"""Draws what an estimator saw into pictures: outlines of faces, boxes, and their strongest AUs."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ..faces import Face
from ..faces.topology import CONTOURS, LINES
from .reading import Reading, ReadingSet, codes

SHOWN = 0.5  # the least intensity that is written
MOST = 8  # lines beside a face
GAP = 4  # pixels between a box and its text
LINE, WEAK, PAPER = (120, 230, 160), (175, 175, 175), (0, 0, 0, 150)
Line = tuple[str, tuple[int, ...]]  # a text and its colour


def draw_readings(
    images: Tensor,
    seen: ReadingSet,
    frames: Sequence[Sequence[Face]] = (),
    weak: Collection[int] = (),
) -> Tensor:
    """Copies of images [N, H, W, 3] in 0..1 with the Readings drawn in, float32 on the CPU.

    frames: the faces' points by picture, where there are any. weak: AUs that are read badly,
    written in grey. A picture in which nothing was read says so.
    """
    drawn = []
    for index, image in enumerate(images):
        pixels = image[..., :3].float().cpu().nan_to_num(0).clamp(0, 1).mul(255).round().byte()
        picture = Image.fromarray(pixels.numpy())
        canvas = ImageDraw.Draw(picture, "RGBA")
        font = ImageFont.load_default(size=max(9, min(picture.size) // 30))
        width = max(1, min(picture.size) // 400)
        for face in frames[index] if frames else ():
            for line in (line for name in CONTOURS for line in LINES[name]):
                places = [tuple(place) for place in face.points[list(line), :2].tolist()]
                canvas.line(places, fill=LINE, width=width)
        readings = seen.of(index)
        if not readings:
            _write(canvas, (2, 2), [("no face found", LINE)], font)
        for reading in readings:
            canvas.rectangle(reading.box, outline=LINE, width=width)
            lines = _lines(reading, weak)
            wide = max(canvas.textlength(text, font=font) for text, _ in lines)
            _write(canvas, _beside(reading.box, wide, picture.width), lines, font)
        drawn.append(torch.from_numpy(np.array(picture)).float() / 255)
    return torch.stack(drawn) if drawn else images[..., :3].float().cpu()


def _lines(reading: Reading, weak: Collection[int]) -> list[Line]:
    strongest = sorted(codes(reading.aus).items(), key=lambda entry: -entry[1])[:MOST]
    return [
        # The number by which nodes and JSON choose a face, counted from 0.
        (f"face {reading.face}, {reading.confidence:.2f}", LINE),
        *(
            (f"AU {code}: {value:.1f}", WEAK if int(code.lstrip("LR")) in weak else LINE)
            for code, value in strongest
            if value >= SHOWN
        ),
    ]


def _beside(box: tuple[float, ...], wide: float, width: int) -> tuple[float, float]:
    """Where text that is so wide covers no face: right of the box, left of it, or else in it."""
    if box[2] + GAP + wide < width:
        return box[2] + GAP, box[1]
    return (box[0] - GAP - wide if box[0] > wide + GAP else box[0] + GAP), box[1]


def _write(
    canvas: ImageDraw.ImageDraw,
    corner: tuple[float, float],
    lines: list[Line],
    font: ImageFont.FreeTypeFont,
) -> None:
    """Lines of coloured text on a dark ground, below each other."""
    x, y = corner
    for text, colour in lines:
        box = canvas.textbbox((x, y), text, font=font)
        canvas.rectangle((box[0] - 1, box[1] - 1, box[2] + 1, box[3] + 1), fill=PAPER)
        canvas.text((x, y), text, fill=colour, font=font)
        y = box[3] + 3
