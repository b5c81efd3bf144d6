"""Draws what an estimator saw into pictures: outlines of faces, boxes, and their strongest AUs."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ..faces import Face
from ..faces.topology import CONTOURS, LINES
from .reading import ReadingSet

SHOWN = 0.5  # the least intensity that is written
MOST = 8  # lines beside a face
LINE, WEAK, PAPER = (120, 230, 160), (175, 175, 175), (0, 0, 0, 150)


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
        _draw(picture, seen, index, frames[index] if frames else (), weak)
        drawn.append(torch.from_numpy(np.array(picture)).float() / 255)
    return torch.stack(drawn) if drawn else images[..., :3].float().cpu()


def _draw(
    picture: Image.Image,
    seen: ReadingSet,
    index: int,
    faces: Sequence[Face],
    weak: Collection[int],
) -> None:
    canvas = ImageDraw.Draw(picture, "RGBA")
    font = ImageFont.load_default(size=max(9, min(picture.size) // 30))
    width = max(1, min(picture.size) // 400)
    for face in faces:
        for name in CONTOURS:
            for line in LINES[name]:
                places = [tuple(place) for place in face.points[list(line), :2].tolist()]
                canvas.line(places, fill=LINE, width=width)
    readings = seen.of(index)
    if not readings:
        _write(canvas, (2, 2), [("no face found", LINE)], font)
    for reading in readings:
        canvas.rectangle(reading.box, outline=LINE, width=width)
        strongest = sorted(reading.aus.dict().items(), key=lambda entry: -entry[1])[:MOST]
        lines = [
            (f"AU{code} {value:.1f}", WEAK if int(code.lstrip("LR")) in weak else LINE)
            for code, value in strongest
            if value >= SHOWN
        ]
        lines.insert(0, (f"face {reading.face + 1}, {reading.confidence:.2f}", LINE))
        _write(canvas, (reading.box[0] + 2, reading.box[1] + 2), lines, font)


def _write(
    canvas: ImageDraw.ImageDraw,
    corner: tuple[float, float],
    lines: list[tuple[str, tuple[int, ...]]],
    font: ImageFont.FreeTypeFont,
) -> None:
    """Lines of coloured text on a dark ground, below each other."""
    x, y = corner
    for text, colour in lines:
        box = canvas.textbbox((x, y), text, font=font)
        canvas.rectangle((box[0] - 1, box[1] - 1, box[2] + 1, box[3] + 1), fill=PAPER)
        canvas.text((x, y), text, fill=colour, font=font)
        y = box[3] + 3
