"""Pictures of the Action Units for the help pages: at rest, at 5, and what else moves.

Drawn by the bundled adapters: the first where it knows an AU, else the one with sides apart. What
moves is what the bundled regressor reads, the mean over `PEOPLE`.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from au_adapter import AUVector, open_generator
from au_adapter.bundled import (
    GUIDANCE,
    SIDED_ADAPTER,
    SIDED_GUIDANCE,
    adapters_folder,
    demo_folder,
)
from au_adapter.data.pictures import as_picture
from au_adapter.estimators.bundled_regressor import load_regressor
from au_adapter.evaluation.contact_sheet import INK, MARGIN, PAPER, labelled_sheet
from au_adapter.facs import UNITS
from au_adapter.facs.units import PLACES
from au_adapter.models.regressor import AURegressor

# Prompt and seed of those who are measured; the first is the one who is shown.
PEOPLE = (
    (
        "a portrait of a young woman with light skin and short brown hair, wearing a green "
        "sweater, blue background",
        16,
    ),
    ("a photo of a man with tan skin and short black hair, in a white shirt, park background", 12),
    ("a close-up of an old man with pale skin and short grey hair, grey background", 5),
    ("a portrait of a middle-aged woman with dark skin and long black hair, red background", 8),
)
STRONGEST = 5.0
SHOWN = sum(PLACES.values(), ())
LOOKS = {  # of the README's large picture
    "relaxed": "",
    "joy": "6B+12D+25C",
    "sadness": "1C+4A+15C",
    "surprise": "1B+2C+5B+26C",
    "disgust": "4C+9B+25B",
}
SITTERS = (  # of the same
    PEOPLE[0],
    ("a portrait of a middle-aged woman with dark skin and long black hair, red background", 22),
    (
        "a headshot of a middle-aged man with a brown beard and tan skin, wearing a grey jacket",
        4,
    ),
)
LEAST = 0.5  # intensities; what moves less is not worth a bar
BARS = 5
BAR_WIDTH, LINE, LABEL = 60, 19, 118


def unit_pictures() -> Iterator[tuple[str, Image.Image]]:
    """(file name without ending, picture) of every AU that the panel has, and the large picture."""
    regressor = load_regressor(demo_folder() / "regressor.safetensors")
    first = open_generator("au-adapter", guidance=GUIDANCE)
    sided = open_generator(
        "au-adapter",
        model=demo_folder(),
        adapter=adapters_folder() / SIDED_ADAPTER,
        guidance=SIDED_GUIDANCE,
    )
    for generator, units in (
        (first, [unit for unit in SHOWN if unit in first.units]),
        (sided, [unit for unit in SHOWN if unit not in first.units]),
    ):
        asked = AUVector.stack([AUVector.parse(f"{unit}:{STRONGEST:g}") for unit in units])
        asked = AUVector.stack([AUVector.parse(""), asked])
        drawn = torch.stack([generator.draw(*person, asked) for person in PEOPLE])
        moved = _moved(regressor, drawn)
        for place, unit in enumerate(units, 1):
            yield f"au{unit}", unit_picture(drawn[0, 0], drawn[0, place], unit, moved[place - 1])
    yield "faces", large_picture()


def _stack(notations: list[str]) -> AUVector:
    return AUVector.stack([AUVector.parse(notation) for notation in notations])


def _moved(regressor: AURegressor, drawn: Tensor) -> list[dict[int, float]]:
    """Pictures [people, 1 + K, H, W, 3], the first at rest -> for each of K, AU -> change."""
    with torch.inference_mode():
        read = regressor.read(drawn.flatten(0, 1)).view(*drawn.shape[:2], -1).mean(0)
    changes = (read[1:] - read[:1]).tolist()
    return [dict(zip(regressor.units, row, strict=True)) for row in changes]


def unit_picture(
    rest: Tensor, strongest: Tensor, unit: int, moved: dict[int, float]
) -> Image.Image:
    """Two faces with labels, and bars of the AUs that moved most."""
    name = f"AU{unit} at {STRONGEST:g}"
    strip = labelled_sheet([[("at rest", as_picture(rest)), (name, as_picture(strongest))]])
    sheet = Image.new("RGB", (strip.width + LABEL + BAR_WIDTH + MARGIN, strip.height), PAPER)
    sheet.paste(strip)
    draw, left = ImageDraw.Draw(sheet), strip.width
    draw.text((left, MARGIN), "what moves", INK, ImageFont.load_default(13))
    ordered = sorted(moved.items(), key=lambda item: -abs(item[1]))
    shown = [(number, value) for number, value in ordered if abs(value) >= LEAST][:BARS]
    if not shown:
        draw.text((left, MARGIN + LINE), "nothing by 0.5 or more", INK, ImageFont.load_default(12))
    for row, (number, value) in enumerate(shown, 1):
        top = MARGIN + row * LINE
        text = f"{number} {UNITS[number].plain.lower()}"
        draw.text((left, top), text, INK, ImageFont.load_default(12))
        length = min(abs(value) / STRONGEST, 1) * BAR_WIDTH
        colour = "#9fd3b6" if value > 0 else "#eab0a2"
        start = left + LABEL
        draw.rectangle((start, top + 2, start + length, top + 13), colour)
        draw.text((start + 3, top), f"{value:+.1f}", INK, ImageFont.load_default(12))
    return sheet


def large_picture() -> Image.Image:
    """The README's: a line of looks for each sitter, half as large again as they are drawn."""
    generator, looks = (
        open_generator("au-adapter", guidance=GUIDANCE),
        _stack([*LOOKS.values()]),
    )
    lines = []
    for sitter in SITTERS:
        faces = [as_picture(face) for face in generator.draw(*sitter, looks)]
        larger = [
            face.resize((face.width * 3 // 2,) * 2, Image.Resampling.LANCZOS) for face in faces
        ]
        lines.append(list(zip(LOOKS, larger, strict=True)))
    return labelled_sheet(lines)
