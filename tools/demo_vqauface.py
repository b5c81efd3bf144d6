"""The sheet of VQ-AUFace in `make demo`: people of the sample, drawn from texts about muscles."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from au_adapter.bundled import VQAUFACE, vqauface_folder
from au_adapter.data.pictures import as_picture, read_picture
from au_adapter.evaluation.contact_sheet import contact_sheet
from au_adapter.facs import AUVector, describe
from au_adapter.methods import open_editor

# The last three pull against each other: the paper's reason to write texts instead of numbers.
TEXTS = ("", "6C+12D", "1C+2C+5C", "4D", "25C+26C", "12C+15C", "1C+4C", "6C+12C+15C")
SEED = 424
SHEET = "vqauface.png"


def can_draw() -> bool:
    """Whether the bundled VQ-AUFace is there."""
    return (vqauface_folder() / VQAUFACE).is_file()


def draw_texts(photos: Sequence[Path], landmarker: Path, output: Path) -> Path:
    """Draw every photo with every text; the sheet's path. Its texts go to vqauface.md."""
    editor = open_editor("vq-auface", landmarker=landmarker)
    asked = [AUVector.parse(notation) for notation in TEXTS]
    rows = []
    for photo in photos:
        picture = read_picture(photo)
        opened = editor.open(picture)
        drawn = torch.cat([picture, *(opened.edit(aus, SEED) for aus in asked)])
        rows.append((photo.stem, list(map(as_picture, drawn))))
    names = ["photo", *(notation or "relaxed" for notation in TEXTS)]
    contact_sheet(rows, names, f"VQ-AUFace, seed {SEED}").save(output / SHEET)
    said = [f"- {n or 'relaxed'}: {describe(aus)}" for n, aus in zip(TEXTS, asked, strict=True)]
    (output / "vqauface.md").write_text("\n".join(["# Texts", "", *said, ""]), encoding="utf-8")
    return output / SHEET
