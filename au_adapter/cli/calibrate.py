"""`au-adapter calibrate`: measure how an adapter answers, and write its response curves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .method_options import ESTIMATOR, method_options
from .verb import PATH, load, verb


@verb
@click.argument("adapter", type=PATH)
@click.argument("output", type=PATH)
@click.option("--strongest", default=7.0, help="The most to ask for, ever.")
@click.option(
    "--price",
    default=25.0,
    help="What it costs that the picture changes: intensities for an RMSE of 1; 0: nothing.",
)
@click.option(
    "--faces",
    type=click.IntRange(1, 12),
    default=12,
    show_default=False,
    help="To learn on, 12 at most.",
)
@ESTIMATOR
@method_options()
def calibrate(adapter: Path, output: Path, **settings: Any) -> None:
    """Measure how ADAPTER answers its sliders on its base; write it with the curves to OUTPUT.

    Switch them on by `calibrated` in AU Encoder, or by encode(vector, calibrated=True).
    """
    path, plot = load("evaluation.calibration_run").calibrate(adapter, output, **settings)
    click.echo(f"The calibrated adapter is {path}; look at {plot}")
