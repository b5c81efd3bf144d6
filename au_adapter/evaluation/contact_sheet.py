"""Contact sheets: pictures in labelled rows and columns."""

from __future__ import annotations

from PIL import Image, ImageDraw, ImageFont

MARGIN, CAPTION, SIDE = 6, 20, 190
LINE, NARROWEST = 14, 150  # of the text below a picture: height of a line, and width that it needs
INK, PAPER = (30, 30, 34), (250, 250, 248)


def contact_sheet(
    rows: list[tuple[str, list[Image.Image]]], columns: list[str], title: str
) -> Image.Image:
    """A sheet of rows (label, pictures of one size) under column labels, with a title on top."""
    width, height = rows[0][1][0].size
    size = (
        SIDE + len(columns) * (width + MARGIN) + MARGIN,
        2 * CAPTION + 2 * MARGIN + len(rows) * (height + MARGIN),
    )
    sheet = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, MARGIN), title, INK, _font(14))
    for column, label in enumerate(columns):
        draw.text(
            (_left(column, width) + width / 2, CAPTION + 2 * MARGIN),
            label,
            INK,
            _font(13),
            anchor="ma",
        )
    for row, (label, pictures) in enumerate(rows):
        top = 2 * CAPTION + 2 * MARGIN + row * (height + MARGIN)
        draw.multiline_text((MARGIN, top + height / 2), label, INK, _font(13), anchor="lm")
        for column, picture in enumerate(pictures):
            sheet.paste(picture, (_left(column, width), top))
    return sheet


def captioned_sheet(
    rows: list[list[tuple[Image.Image, str]]], columns: list[str], title: str
) -> Image.Image:
    """Rows of (picture, lines of text below it) under column labels; pictures of one size."""
    (width, height), lines = rows[0][0][0].size, max(text.count("\n") for _, text in rows[0]) + 1
    width = max(width, NARROWEST)
    step, top = height + lines * LINE + 2 * MARGIN, 2 * CAPTION + 2 * MARGIN
    size = (len(columns) * (width + MARGIN) + MARGIN, top + len(rows) * step)
    sheet = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, MARGIN), title, INK, _font(12))
    for column, label in enumerate(columns):
        left = MARGIN + column * (width + MARGIN)
        middle = left + width / 2
        draw.text((middle, CAPTION + 2 * MARGIN), label, INK, _font(13), anchor="ma")
        for row, cells in enumerate(rows):
            picture, text = cells[column]
            place = top + row * step
            sheet.paste(picture.convert("RGB"), (left + (width - picture.width) // 2, place))
            below = (middle, place + height + 2)
            draw.multiline_text(below, text, INK, _font(11), anchor="ma", align="center", spacing=2)
    return sheet


def picture_strip(
    lines: list[list[tuple[str, Image.Image]]], caption: int = CAPTION
) -> Image.Image:
    """Lines of (label, picture), the label under its picture; all pictures of one size.

    caption: height of a label in pixels, which its letters follow. A label that is wider than its
    picture is written smaller.
    """
    width, height = lines[0][0][1].size
    columns = max(map(len, lines))
    size = (columns * (width + MARGIN) + MARGIN, len(lines) * (height + caption + MARGIN) + MARGIN)
    strip = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(strip)
    for row, line in enumerate(lines):
        top = MARGIN + row * (height + caption + MARGIN)
        for column, (label, picture) in enumerate(line):
            left = MARGIN + column * (width + MARGIN)
            strip.paste(picture, (left, top))
            font = _fitting_font(label, 13 * caption / CAPTION, width)
            draw.text((left + width / 2, top + height + 2), label, INK, font, anchor="ma")
    return strip


def _fitting_font(label: str, size: float, width: int) -> ImageFont.FreeTypeFont:
    """The font in which a label is no wider than `width` pixels, `size` at most."""
    wanted = _font(size).getlength(label)
    return _font(max(size * min(1.0, width / max(wanted, 1.0)), 6))


def _left(column: int, width: int) -> int:
    return SIDE + column * (width + MARGIN)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
