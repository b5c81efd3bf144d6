"""The edit sheet of `make demo`: photos of people that nothing was trained on, other expressions.

The photos are renders of the project's sample; their AUs before and after are read by the demo
regressor. What should have stayed is measured by networks that had no part in the edit.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from au_adapter.bundled import MAGICFACE, demo_folder, magicface_folder
from au_adapter.data.rendered import SAMPLE, iterate
from au_adapter.estimators.bundled_regressor import ESTIMATOR, load_regressor, read_files
from au_adapter.evaluation.appearance import MEASURE
from au_adapter.evaluation.contact_sheet import captioned_sheet
from au_adapter.evaluation.edits import MEASURES, EditMeasure
from au_adapter.faces import (
    FACE_LANDMARKER,
    PERSON_SEGMENTER,
    FaceLandmarker,
    PersonSegmenter,
    locate,
)
from au_adapter.facs import AUVector

from .demo_graphs import DRAWN, PASTED, edit_graph

PEOPLE = (52, 140, 224, 108)  # pictures of the sample, each the relaxed one of a person
CHANGES = ("6B+12D", "1C+2C+5B", "4D", "15D+17C", "25C+26C")
SAMPLER = {"seed": 424, "steps": 10}
FOLDER = "edits"


@dataclass(frozen=True)
class Edits:
    """One photo and its edits: rows of edit_report.json, and the pictures' files, pasted and as
    MagicFace drew them."""

    source: Path
    rows: list[dict[str, Any]]
    pasted: list[Path]
    drawn: list[Path]


def can_edit() -> bool:
    """Whether the bundled MagicFace is there."""
    return (magicface_folder() / MAGICFACE).is_file()


def draw_edits(server: Any, output: Path) -> list[Edits]:
    """Have a ComfyServer edit the demo's photos; pictures go to output/edits/."""
    folder = output / FOLDER
    return [edit_photo(server, n, CHANGES, folder, **SAMPLER) for n in PEOPLE]


def edit_photo(
    server: Any, number: int, changes: Sequence[str], folder: Path, **sampler: Any
) -> Edits:
    """Have a ComfyServer make all changes, in FACS notation, of one picture of the sample.

    The photo goes to the server's input folder too, under a name of the demo's own. sampler: inputs
    of KSampler.
    """
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / f"person{number}.png"
    _photo(number).save(source)
    given = f"au_adapter_demo_{source.name}"
    shutil.copyfile(source, server.base / "input" / given)
    history = server.wait(server.post_prompt(edit_graph(given, changes, **sampler)))
    pasted, drawn = (
        _save(server.images(history, node), folder / f"{source.stem}_{kind}")
        for node, kind in ((PASTED, "edited"), (DRAWN, "drawn"))
    )
    rows = [_row(source, file, change) for file, change in zip(pasted, changes, strict=True)]
    return Edits(source, rows, pasted, drawn)


def measure_edits(edits: list[Edits], folders: list[Path]) -> None:
    """Fill the rows' numbers. folders: where Google's models may lie, see `faces.locate`."""
    regressor = load_regressor(demo_folder() / "regressor.safetensors")
    landmarker = FaceLandmarker(locate(FACE_LANDMARKER, folders=folders))
    segmenter = PersonSegmenter(locate(PERSON_SEGMENTER, folders=folders))
    measure = EditMeasure(landmarker, segmenter)
    with torch.inference_mode():
        for one in edits:
            before, *after = read_files(regressor, [one.source, *one.pasted])
            photo = _opened([one.source])
            numbers = measure(_opened(one.pasted), photo)
            behind = measure.background(_opened(one.drawn), photo)
            for place, row in enumerate(one.rows):
                row |= {"before": before, "after": after[place]}
                row |= {name: _number(numbers[name][place]) for name in MEASURES}
                row["background_rmse_drawn"] = _number(behind[place])


def report_edits(edits: list[Edits], output: Path) -> None:
    """Write edits.png and edit_report.json."""
    _sheet(edits).save(output / "edits.png")
    content = {
        "schema": 1,
        "estimator": ESTIMATOR,
        "identity": f"{MEASURE}; no face recognition. Renders of one person: 0.15, of two: 0.43",
        "rows": [row for one in edits for row in one.rows],
    }
    text = json.dumps(content, indent=1)
    (output / "edit_report.json").write_text(text, encoding="utf-8")


def au_error(row: dict[str, Any], reading: str) -> float:
    """Mean squared error of the 12 AUs against before + change, of "after" or of "before"."""
    wanted = {unit: row["before"][unit] + row["change"].get(unit, 0.0) for unit in row["before"]}
    return float(np.mean([(row[reading][unit] - value) ** 2 for unit, value in wanted.items()]))


def _photo(number: int) -> Image.Image:
    """A picture of the sample."""
    return Image.fromarray(next(islice(iterate(SAMPLE), number, None))["image"])


def _row(source: Path, file: Path, change: str) -> dict[str, Any]:
    return {
        "file": f"{FOLDER}/{file.name}",
        "source": f"{FOLDER}/{source.name}",
        "change": AUVector.parse(change).dict(),
    }


def _save(pictures: list[Image.Image], stem: Path) -> list[Path]:
    files = [stem.with_name(f"{stem.name}_{number}.png") for number in range(len(pictures))]
    for file, picture in zip(files, pictures, strict=True):
        picture.save(file)
    return files


def _opened(files: list[Path]) -> Tensor:
    """Pictures [N, H, W, 3] in 0..1."""
    pixels = np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files])
    return torch.from_numpy(pixels).float() / 255


def _number(value: Tensor) -> float | None:
    """To four digits; None where a face was not found."""
    return round(float(value), 4) if value.isfinite() else None


def _sheet(edits: list[Edits]) -> Image.Image:
    rows = []
    for one in edits:
        cells = [(Image.open(one.source), "the photo")]
        pictures = map(Image.open, one.pasted)
        cells += zip(pictures, map(_caption, one.rows), strict=True)
        rows.append(cells)
    title = (
        "Below: AU error (of doing nothing). Look: 0.15 one person, 0.43 two people. "
        "Background: RMSE of 0..1 (before pasting)."
    )
    return captioned_sheet(rows, ["", *CHANGES], title)


def _caption(row: dict[str, Any]) -> str:
    return "\n".join(
        [
            f"AU error {au_error(row, 'after'):.2f} ({au_error(row, 'before'):.2f})",
            f"look {_shown(row['identity_l2'])}, pose {_shown(row['head_pose_rmse'], ' rad')}",
            f"background {_shown(row['background_rmse'])} ({_shown(row['background_rmse_drawn'])})",
        ]
    )


def _shown(number: float | None, unit: str = "") -> str:
    return "-" if number is None else f"{number:.2f}{unit}"
