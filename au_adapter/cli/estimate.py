"""`au-adapter estimate`: the Action Units of every face in pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from .verb import PATH, load, verb


@verb
@click.argument("images", nargs=-1, required=True, type=PATH)
@click.option("--json", "as_json", is_flag=True, help="JSON for scripts instead of a table.")
@click.option("--neutral", type=PATH, help="The same person, relaxed.")
@click.option("--estimator", default="mesh", help="mesh, blendshapes or demo.")
@click.option("--landmarker", type=PATH, help="face_landmarker.task.")
@click.option("--levels", default=1, help="2 or more also find small faces.")
def estimate(images: tuple[Path, ...], as_json: bool, **settings: Any) -> None:
    """Read the Action Units of every face in IMAGES, 0 absent .. 5 maximum.

    Ends with code 1 where a file is no picture; the others are read all the same.
    """
    files = load("estimators.picture_files")
    result = files.estimate_files(list(images), **settings)
    click.echo(json.dumps(result, indent=1) if as_json else files.table(result))
    if files.unreadable(result):
        raise SystemExit(1)
