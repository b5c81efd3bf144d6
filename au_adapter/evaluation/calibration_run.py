"""Calibrate an adapter: draw and read every AU at every level, fit and write response curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..methods import open_generator
from ..weights.adapter_files import save_adapter
from .evaluation_run import estimator_of, is_bundled
from .fit_calibration import LEVELS, PRICE, fit_calibration, observations, sweep_vectors
from .plots import calibration_plot, save_plot
from .sweep import PROMPTS, read_sweep


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
    and so nothing beyond it is ever asked for. options: of the method
    au-adapter. faces: only so many of the prompts. price: of change, see `calibration.PRICE`."""
    reader = estimator_of(estimator, is_bundled("au-adapter", options))
    drawn = open_generator("au-adapter", adapter=adapter, **options)
    units = [u for u in drawn.adapter.config.units if u in reader.units]
    sweep = sweep_vectors(units, [level for level in levels if level <= strongest])
    chosen = prompts[:faces]
    seen = read_sweep(drawn, reader, sweep, chosen)
    conditions = f"{drawn.conditions()}, {len(chosen)} prompts, price {price:g}"
    costs = price * seen.changes
    calibration = fit_calibration(seen.requested, seen.readings, conditions, costs)
    path = save_adapter(drawn.adapter.with_calibration(calibration), output)
    plot = calibration_plot(calibration, observations(seen.requested, seen.readings))
    return path, save_plot(plot[0], path.with_suffix(".png"))
