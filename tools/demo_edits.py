"""The edit sheet of `make demo`: rendered people that nothing was trained on, other expressions.

The "photos" are renders of the project's sample; their AUs before and after are read by the demo
regressor. What should have stayed is measured by networks that had no part in the edit.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
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
from au_adapter.evaluation.comparison import Comparison, comparison
from au_adapter.evaluation.observed import MEASURE
from au_adapter.facs import AUVector
from au_adapter.metrics import au_mse_change
from au_adapter.models.regressor import AURegressor

from .demo_graphs import DRAWN, PASTED, edit_graph
from .demo_sheets import captioned_sheet

PEOPLE = (52, 140, 224, 108)  # pictures of the sample, each the relaxed one of a person
CHANGES = ("6B+12D", "1C+2C+5B", "4D", "15D+17C", "25C+26C")
SAMPLER = {"seed": 424, "steps": 10}
FOLDER = "edits"
MEASURES = ("look", "background_rmse", "person_rmse", "head_pose_rmse")
BACKGROUNDS = ("background_rmse", "person_rmse")  # measured before pasting too
YARDSTICK = "0.15 one person, 0.43 two people."  # `look` between renders of the sample


@dataclass(frozen=True)
class Edit:
    """A row of `demo/edit_report.json`: one edit of a photo.

    change: AU code -> change asked for. before, after: AU -> intensity on the photo and on the
    edit. metrics: name -> number beside the photo, None where a face was not found.
    """

    file: str
    source: str
    change: dict[str, float]
    method: str = "magicface"
    before: dict[str, float] = field(default_factory=dict)
    after: dict[str, float] = field(default_factory=dict)
    metrics: dict[str, float | None] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        """The metrics stand beside the other fields."""
        found = asdict(self)
        return found | found.pop("metrics")


@dataclass(frozen=True)
class Edits:
    """One photo and its edits: rows of edit_report.json, and the pictures' files, pasted and as
    MagicFace drew them before."""

    source: Path
    rows: list[Edit]
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


def measured_edits(edits: list[Edits], folders: list[Path]) -> list[Edits]:
    """The edits with their numbers. folders: where Google's models may lie, see `faces.locate`."""
    regressor = load_regressor(demo_folder() / "regressor.safetensors")
    compare = comparison(folders)
    if missing := [compare.not_measured[name] for name in MEASURES if name in compare.not_measured]:
        raise FileNotFoundError(missing[0])
    with torch.inference_mode():
        return [_measured(one, regressor, compare) for one in edits]


def _measured(one: Edits, regressor: AURegressor, compare: Comparison) -> Edits:
    before, *after = read_files(regressor, [one.source, *one.pasted])
    photo = _opened([one.source])
    numbers = compare(_opened(one.pasted), photo)
    drawn = compare(_opened(one.drawn), photo)
    numbers |= {f"{name}_drawn": drawn[name] for name in BACKGROUNDS}
    shown = (*MEASURES, *(f"{name}_drawn" for name in BACKGROUNDS))
    rows = [
        replace(
            row,
            before=before,
            after=after[place],
            metrics={name: _number(numbers[name][place]) for name in shown},
        )
        for place, row in enumerate(one.rows)
    ]
    return replace(one, rows=rows)


def report_edits(edits: list[Edits], output: Path) -> None:
    """Write edits.png and edit_report.json."""
    _sheet(edits).save(output / "edits.png")
    content = {
        "schema": 1,
        "estimator": ESTIMATOR,
        "look": f"{MEASURE}; no face recognition. {YARDSTICK}",
        "rows": [row.json() for one in edits for row in one.rows],
    }
    text = json.dumps(content, indent=1)
    (output / "edit_report.json").write_text(text, encoding="utf-8")


def au_error(row: Edit, reading: str) -> float:
    """`au_mse_change` of one edit: of "after", or of "before", as if nothing had been done."""
    units = list(row.before)
    change = [row.change.get(unit, 0.0) for unit in units]
    before, seen = ([getattr(row, name)[unit] for unit in units] for name in ("before", reading))
    return au_mse_change(*(torch.tensor([values]) for values in (before, change, seen)))


def _photo(number: int) -> Image.Image:
    """A picture of the sample."""
    return Image.fromarray(next(islice(iterate(SAMPLE), number, None))["image"])


def _row(source: Path, file: Path, change: str) -> Edit:
    asked = AUVector.parse(change).dict()
    return Edit(f"{FOLDER}/{file.name}", f"{FOLDER}/{source.name}", asked)


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
        f"Below: AU error (of doing nothing). Look: {YARDSTICK} "
        "Background: RMSE of 0..1 outside the face (before pasting)."
    )
    return captioned_sheet(rows, ["", *CHANGES], title)


def _caption(row: Edit) -> str:
    look, pose, background, drawn = (
        row.metrics[name]
        for name in ("look", "head_pose_rmse", "background_rmse", "background_rmse_drawn")
    )
    return "\n".join(
        [
            f"AU error {au_error(row, 'after'):.2f} ({au_error(row, 'before'):.2f})",
            f"look {_shown(look)}, pose {_shown(pose, ' rad')}",
            f"background {_shown(background)} ({_shown(drawn)})",
        ]
    )


def _shown(number: float | None, unit: str = "") -> str:
    return "-" if number is None else f"{number:.2f}{unit}"
