"""The sheet of AUEditNet in `make demo`: people edited by numbers, and by each other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from au_adapter.bundled import AUEDITNET, WPLUS, aueditnet_folder
from au_adapter.data.pictures import as_picture, read_picture
from au_adapter.evaluation.contact_sheet import contact_sheet
from au_adapter.facs import AUVector
from au_adapter.methods import open_editor

REQUESTS = ("", "6C+12D", "1C+2C+5C", "4D", "15D+17C", "25C+26C")
SHEET = "aueditnet.png"


def can_invert() -> bool:
    """Whether the bundled AUEditNet and its generator are there."""
    return all((aueditnet_folder() / name).is_file() for name in (AUEDITNET, WPLUS))


def edit_codes(photos: Sequence[Path], landmarker: Path, output: Path) -> Path:
    """Give every photo every expression, and that of the photo above it, the first that of the
    last; the sheet's path."""
    editor = open_editor("aueditnet", landmarker=landmarker)
    asked = AUVector.stack([AUVector.parse(notation) for notation in REQUESTS])
    opened = [editor.open(read_picture(photo)) for photo in photos]
    rows = [
        (photo.stem, [*map(as_picture, (*one.photo, *one.edit(asked), *one.express(other)))])
        for photo, one, other in zip(photos, opened, opened[-1:] + opened[:-1], strict=True)
    ]
    names = ["photo", *(notation or "relaxed" for notation in REQUESTS), "as above"]
    contact_sheet(rows, names, "AUEditNet: AUs 0 to 5, and another's expression").save(
        output / SHEET
    )
    return output / SHEET
