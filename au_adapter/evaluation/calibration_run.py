"""Calibrate an adapter: draw and read every AU at every level, fit and write response curves.

How an AU answers differs from face to face as much as from AU to AU, so that a few faces tell
little: curves of 4 faces hit other faces' intensities by a tenth less well than curves of 12.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..data.pictures import write_png
from ..estimators import Estimator, read_set
from ..estimators.reading import ReadingSet
from ..facs import AUVector
from ..methods import Generator, open_generator
from ..weights.adapter_files import save_adapter
from .evaluation_run import estimator_of, is_bundled
from .fit_calibration import LEVELS, PRICE, changes, fit_calibration, observations, sweep_vectors
from .plots import calibration_plot

# In the bundled model's words; another base knows them as well.
PROMPTS = (
    "a portrait of a young woman with light skin and long blond hair, in a blue sweater",
    "a photo of a middle-aged man with tan skin and short brown hair, grey background",
    "a close-up of an old woman with olive skin and short grey hair, wearing a red shirt",
    "a headshot of a young man with brown skin and short black hair, white background",
    "a photo of a young woman with dark skin and long black hair, in a white shirt",
    "a portrait of an old man with light skin and short white hair, in a black jacket",
    "a close-up of a middle-aged woman with brown skin and short brown hair, blue background",
    "a headshot of a young man with tan skin and short blond hair, wearing a green sweater",
    "a photo of an old woman with dark skin and long grey hair, in a yellow jacket",
    "a portrait of a middle-aged man with olive skin and short black hair, street background",
    "a close-up of a young woman with tan skin and long red hair, wearing a white sweater",
    "a headshot of an old man with brown skin and short grey hair, in a blue shirt",
)
SEED = 1001  # of the first; the next ones follow


def calibrate(
    adapter: Path | None,
    output: Path,
    *,
    options: Mapping[str, Any],
    estimator: str | None = None,
    prompts: Sequence[str] = PROMPTS,
    levels: Sequence[float] = LEVELS,
    strongest: float = LEVELS[-1],
    faces: int | None = None,
    price: float = PRICE,
) -> tuple[Path, Path]:
    """Sweep every AU of an adapter on its base, fit the response curves, write the adapter with
    them to `output`; that file and the plot beside it. strongest: levels beyond it are left out,
    and so nothing beyond it is ever asked for. options: of the method au-adapter. faces: only so
    many of the prompts. price: of change, see `fit_calibration.PRICE`."""
    reader = estimator_of(estimator, is_bundled("au-adapter", options))
    drawn = open_generator("au-adapter", adapter=adapter, **options)
    units = [u for u in drawn.adapter.config.units if u in reader.units]
    sweep = sweep_vectors(units, [level for level in levels if level <= strongest])
    chosen = prompts[:faces]
    requested, readings, changed = read_sweep(drawn, reader, sweep, chosen)
    conditions = f"{drawn.conditions()}, {len(chosen)} prompts, price {price:g}"
    calibration = fit_calibration(requested, readings, conditions, price * changed)
    path = save_adapter(drawn.adapter.with_calibration(calibration), output)
    plot = calibration_plot(calibration, observations(requested, readings))
    return path, write_png(path.with_suffix(".png"), plot[0])


def read_sweep(
    method: Generator, reader: Estimator, sweep: AUVector, prompts: Sequence[str] = PROMPTS
) -> tuple[AUVector, ReadingSet, Tensor]:
    """Draw and read a sweep, the neutral face first, on a face per prompt. Picture by picture, N in
    all: what was asked for, what was read, and `changes` [N]. The pictures of one face are in
    memory at a time."""
    readings, changed = [], []
    for number, prompt in enumerate(prompts):
        pictures = method.draw(prompt, SEED + number, sweep)
        readings.append(read_set(reader, pictures))
        changed.append(changes(sweep, pictures))
    stacked = ReadingSet.stack(readings)
    return AUVector.stack([sweep] * len(readings)), stacked, torch.cat(changed)
