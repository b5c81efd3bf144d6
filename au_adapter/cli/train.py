"""`au-adapter train`: train by a recipe, resume where an earlier run stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .method_options import setting
from .verb import LOGGER, PATH, USER_ERRORS, load, verb, with_extra


@verb
@click.option("--recipe", required=True, help="Name of a recipe, such as fineface.")
@click.option(
    "--data",
    required=True,
    multiple=True,
    help="Labelled faces, may be given more than once: a folder of shards, or of pictures with "
    "labels.csv; or rendered, those at hand; or rendered:4000, so many, by the face model.",
)
@click.option("--steps", type=click.IntRange(1), help="Default: the recipe's.")
@click.option("--output", required=True, type=PATH, help="Result and state.")
@click.option(
    "--validate-every",
    type=click.IntRange(0),
    metavar="STEPS",
    help="Draw faces at fixed seeds, read their AUs, and keep the best adapter in OUTPUT/best.",
)
@click.option("--estimator", help="What reads them; default: the regressor beside a bundled base.")
@click.option(
    "--progress",
    type=click.Choice(("text", "json")),
    default="text",
    show_default=False,
    help="json: a line for each step and event on standard output, for programs.",
)
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="NAME=VALUE",
    help="A setting of the recipe, such as batch_size=16; a wrong name lists all that it has.",
)
def train(
    recipe: str,
    data: tuple[str, ...],
    output: Path,
    estimator: str | None,
    progress: str,
    changes: tuple[str, ...],
    **settings: Any,
) -> None:
    """Train by a recipe. Goes on where an earlier run into the same folder stopped."""
    report = load("training.progress").REPORTS[progress]
    try:
        chosen = settings | dict(map(setting, changes))
        result = load("training.run").train(
            recipe, list(data), output, estimate=estimator, report=report, **chosen
        )
    except (*USER_ERRORS, ModuleNotFoundError, click.ClickException) as error:
        kind = type(error).__name__
        report({"event": "error", "kind": kind, "message": str(with_extra(error))})
        raise
    LOGGER.info("The result is in %s", result)
