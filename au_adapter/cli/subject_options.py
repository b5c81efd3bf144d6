"""Options that the measuring verbs share: what is evaluated, and by which estimator."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

PATH = click.Path(path_type=Path)


def subject_options(function: Callable) -> Callable:
    """The options of what is evaluated, gathered as the keyword `subject`."""
    options = (
        click.option("--model", type=PATH, help="A diffusers pipeline's folder; default: bundled."),
        click.option("--steps", type=click.IntRange(1), default=20, show_default=True),
        click.option("--guidance", default=7.5, show_default=True, help="Scale of CFG."),
        click.option("--strength", default=1.0, show_default=True, help="Of the adapter."),
        click.option(
            "--start",
            type=click.FloatRange(0, 1),
            default=0.0,
            show_default=True,
            help="Share of the steps before the AUs act: later, a picture changes less.",
        ),
        click.option("--batch", type=click.IntRange(1), default=8, show_default=True),
        click.option(
            "--estimator",
            metavar="NAME|MODULE:FUNCTION",
            help="mesh, blendshapes or demo, or code that makes one; default: demo for the "
            "bundled model, else mesh.",
        ),
    )

    @functools.wraps(function)
    def gathered(**given: Any) -> None:
        names = ("model", "steps", "guidance", "strength", "start", "batch")
        function(subject={name: given.pop(name) for name in names}, **given)

    for option in reversed(options):
        gathered = option(gathered)
    return gathered
