"""Options of the verbs that make pictures: what is asked for, and where it goes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from .verb import PATH, load


def request_options(origin: str) -> Callable:
    """A decorator: --aus, --requests, --seed and --output. origin: the column of a table that may
    name what a picture is made from."""
    options = (
        click.option(
            "--aus",
            multiple=True,
            metavar="CODE",
            help="AUs in FACS notation, such as 6B+12C or AU12:-3; repeatable, each a picture.",
        ),
        click.option(
            *("--requests", "table"),
            type=PATH,
            help=f"A CSV with the column aus, and perhaps {origin}, seed.",
        ),
        click.option(
            *("--seed", "seeds"),
            type=int,
            multiple=True,
            default=(0,),
            show_default=False,
            help="Repeatable; default: 0.",
        ),
        click.option("--output", required=True, type=PATH, help="Folder for the pictures."),
    )

    def decorate(function: Callable) -> Callable:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def finish(
    method: Any, reader: Any, output: Path, wanted: Sequence[Any], label: str, **choices: Any
) -> None:
    """Make the pictures under a progress bar and say what came of it."""
    batch = load("evaluation.picture_batch").PictureBatch
    with click.progressbar(length=len(wanted), label=label, file=sys.stderr) as bar:
        rows = batch(method, reader, output, tell=lambda: bar.update(1), **choices).run(wanted)
    failed = [row for row in rows if "error" in row]
    click.echo(
        f"{len(rows) - len(failed)} of {len(rows)} pictures are in {output}; pictures.json says "
        f"what was asked, and read by the {reader.name}"
    )
    if failed:
        raise SystemExit(1)
