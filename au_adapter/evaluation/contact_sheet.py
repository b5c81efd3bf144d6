"""Contact sheets: pictures in labelled rows and columns."""

from __future__ import annotations

from PIL import Image, ImageDraw, ImageFont

MARGIN, CAPTION, SIDE = 6, 20, 190
INK, PAPER = (30, 30, 34), (250, 250, 248)
font = ImageFont.load_default


def contact_sheet(
    rows: list[tuple[str, list[Image.Image]]], columns: list[str], title: str
) -> Image.Image:
    """A sheet of rows (label, pictures of one size) under column labels, with a title on top."""
    width, height = rows[0][1][0].size
    size = (
        SIDE + len(columns) * (width + MARGIN) + MARGIN,
        2 * CAPTION + 2 * MARGIN + len(rows) * (height + MARGIN),
    )
    sheet, draw = new_sheet(size)
    draw.text((MARGIN, MARGIN), title, INK, font(14))
    left = [SIDE + column * (width + MARGIN) for column in range(len(columns))]
    for x, label in zip(left, columns, strict=True):
        draw.text((x + width / 2, CAPTION + 2 * MARGIN), label, INK, font(13), anchor="ma")
    for row, (label, pictures) in enumerate(rows):
        top = 2 * CAPTION + 2 * MARGIN + row * (height + MARGIN)
        draw.multiline_text((MARGIN, top + height / 2), label, INK, font(13), anchor="lm")
        for x, picture in zip(left, pictures, strict=False):
            sheet.paste(picture, (x, top))
    return sheet


def labelled_sheet(
    lines: list[list[tuple[str, Image.Image]]], caption: int = CAPTION
) -> Image.Image:
    """Lines of (label, picture), the label under its picture; all pictures of one size.

    caption: height of a label in pixels, which its letters follow. A label that is wider than its
    picture is written smaller.
    """
    width, height = lines[0][0][1].size
    columns = max(map(len, lines))
    size = (columns * (width + MARGIN) + MARGIN, len(lines) * (height + caption + MARGIN) + MARGIN)
    sheet, draw = new_sheet(size)
    for row, line in enumerate(lines):
        top = MARGIN + row * (height + caption + MARGIN)
        for column, (label, picture) in enumerate(line):
            left = MARGIN + column * (width + MARGIN)
            sheet.paste(picture, (left, top))
            letters = 13 * caption / CAPTION
            wide = max(font(letters).getlength(label), 1.0)
            fitting = font(max(letters * min(1.0, width / wide), 6))
            draw.text((left + width / 2, top + height + 2), label, INK, fitting, anchor="ma")
    return sheet


def new_sheet(size: tuple[int, int]) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    sheet = Image.new("RGB", size, PAPER)
    return sheet, ImageDraw.Draw(sheet)
