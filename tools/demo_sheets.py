"""The demo's sheets: pictures with their numbers below them, and a strip of labelled pictures."""

from __future__ import annotations

from PIL import Image

from au_adapter.evaluation.contact_sheet import CAPTION, INK, MARGIN, font, new_sheet

LINE, NARROWEST = 14, 150  # of the text below a picture: height of a line, and width that it needs


def captioned_sheet(
    rows: list[list[tuple[Image.Image, str]]], columns: list[str], title: str
) -> Image.Image:
    """Rows of (picture, lines of text below it) under column labels; pictures of one size."""
    (width, height), lines = rows[0][0][0].size, max(text.count("\n") for _, text in rows[0]) + 1
    width = max(width, NARROWEST)
    step, top = height + lines * LINE + 2 * MARGIN, 2 * CAPTION + 2 * MARGIN
    sheet, draw = new_sheet((len(columns) * (width + MARGIN) + MARGIN, top + len(rows) * step))
    draw.text((MARGIN, MARGIN), title, INK, font(12))
    for column, label in enumerate(columns):
        left = MARGIN + column * (width + MARGIN)
        middle = left + width / 2
        draw.text((middle, CAPTION + 2 * MARGIN), label, INK, font(13), anchor="ma")
        for row, cells in enumerate(rows):
            picture, text = cells[column]
            place = top + row * step
            sheet.paste(picture.convert("RGB"), (left + (width - picture.width) // 2, place))
            below = (middle, place + height + 2)
            draw.multiline_text(below, text, INK, font(11), anchor="ma", align="center", spacing=2)
    return sheet
