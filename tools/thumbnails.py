"""The pictures of the template browser: what a workflow draws, on a square.

Made by `python -m tools.build_workflows --thumbnails`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont, ImageOps, ImageSequence

THUMBNAIL = 384  # pixels of a side
MOST = 9  # pictures on one
TALL = 1.35  # height over width of faces side by side, which leaves ears and chin in the picture
STRIP = 84  # pixels of the words below another workflow's picture
INK, PAPER = "#f2f2ee", "#2f3640"


class Stand(NamedTuple):
    """What stands for the picture of a workflow that needs models which cannot be shipped: that of
    another, which does the same on the bundled model, above two lines of words."""

    workflow: str
    words: str


OTHERS_FACE = "face: the bundled model's"
STANDS = {
    "au_sd15": Stand("au_generate", f"Stable Diffusion 1.5 + FineFace\n{OTHERS_FACE}"),
    "au_sd21": Stand("au_generate", f"Stable Diffusion 2.1 + FineFace\n{OTHERS_FACE}"),
    "au_sd15_ipadapter": Stand("au_two_faces", f"SD 1.5 + FineFace + IP-Adapter\n{OTHERS_FACE}"),
    "au_sd15_faceid": Stand("au_two_faces", f"SD 1.5 + FineFace + FaceID\n{OTHERS_FACE}"),
    "ipadapter_magicface": Stand(
        "magicface_edit_demo", f"IP-Adapter + MagicFace + numbers\n{OTHERS_FACE}"
    ),
    "magicface_edit": Stand("magicface_words", f"MagicFace on your photo\n{OTHERS_FACE}"),
    "magicface_looks": Stand("magicface_sweep", f"MagicFace on your photo\n{OTHERS_FACE}"),
    "au_train": Stand("au_sweep", "Train an AU-Adapter\nlabelled faces in, sliders out"),
}
# Of methods that no bundled model shows yet: a text.
CARDS = {
    "aueditnet_edit": "AUEditNet\n\na face by numbers,\nat once",
    "aueditnet_transfer": "AUEditNet\n\nthe expression\nof another face",
    "vq_auface": "VQ-AUFace\n\na text about muscles,\na photo,\na new face",
}

Run = Callable[[str], list[Image.Image]]  # a workflow's name -> the pictures that it saves


def thumbnail(name: str, run: Run) -> Image.Image:
    """The picture of a workflow, a square of THUMBNAIL pixels."""
    if name in CARDS:
        return card(CARDS[name])
    if name in STANDS:
        return with_words(frames(run(STANDS[name].workflow)), STANDS[name].words)
    return sheet(frames(run(name)))


def card(text: str) -> Image.Image:
    """A square that says what a workflow is for."""
    square = Image.new("RGB", (THUMBNAIL, THUMBNAIL), PAPER)
    _write(square, (0, 0, THUMBNAIL, THUMBNAIL), text, 30)
    return square


def with_words(pictures: list[Image.Image], text: str) -> Image.Image:
    """Pictures above words."""
    square = Image.new("RGB", (THUMBNAIL, THUMBNAIL), PAPER)
    square.paste(sheet(pictures, THUMBNAIL - STRIP))
    _write(square, (0, THUMBNAIL - STRIP, THUMBNAIL, THUMBNAIL), text, 22)
    return square


def frames(pictures: list[Image.Image]) -> list[Image.Image]:
    """Pictures and the frames of clips, at most MOST of them, evenly apart, ends included."""
    found = [frame.copy() for picture in pictures for frame in ImageSequence.Iterator(picture)]
    if len(found) <= MOST:
        return found
    return [found[round(i * (len(found) - 1) / (MOST - 1))] for i in range(MOST)]


def sheet(pictures: list[Image.Image], height: int = THUMBNAIL) -> Image.Image:
    """Pictures on a sheet: in rows of three at most, cut to fill it; two and three higher than
    wide, in the middle; one, and wide ones such as plots, whole."""
    wide = pictures[0].width > 1.3 * pictures[0].height
    columns = 1 if wide else min(len(pictures), 3)
    rows = -(-len(pictures) // columns)
    across, down = THUMBNAIL // columns, height // rows
    if not wide and len(pictures) in (2, 3):
        down = min(round(across * TALL), height)
    top = (height - rows * down) // 2
    found = Image.new("RGB", (THUMBNAIL, height), PAPER)
    for index, picture in enumerate(pictures):
        row, column = divmod(index, columns)
        tile = _tile(picture, (across, down), wide or len(pictures) == 1)
        found.paste(tile, (column * across, top + row * down))
    return found


def _tile(picture: Image.Image, size: tuple[int, int], whole: bool) -> Image.Image:
    picture = picture.convert("RGB")
    if whole:
        return ImageOps.pad(picture, size, Image.Resampling.LANCZOS, color=PAPER)
    return ImageOps.fit(picture, size, Image.Resampling.LANCZOS)


def _write(square: Image.Image, box: tuple[int, int, int, int], text: str, size: int) -> None:
    middle = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    font = ImageFont.load_default(size)
    ImageDraw.Draw(square).multiline_text(middle, text, INK, font, "mm", spacing=10, align="center")
