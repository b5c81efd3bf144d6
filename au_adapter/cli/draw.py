"""`au-adapter draw`: faces from text, with the Action Units that are asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .method_options import ADAPTER_FLAGS, ESTIMATOR, method_options
from .request_options import finish, request_options
from .verb import load, verb


@verb
@click.argument("prompts", metavar="PROMPT...", nargs=-1)
@click.option(
    "--method",
    metavar="NAME|MODULE:FUNCTION",
    default="au-adapter",
    help="au-adapter; words, AUs as words in the prompt; base, without AUs; lora-text, lora-au, "
    "dreambooth, with --set trained=FOLDER; or code that makes it.",
)
@request_options("prompt")
@ESTIMATOR
@method_options(*ADAPTER_FLAGS)
def draw(
    prompts: tuple[str, ...],
    method: str,
    output: Path,
    estimator: str | None,
    options: dict,
    **asked: Any,
) -> None:
    """Draw a face from each PROMPT, for all AUs and seeds, into labelled PNG files.

    pictures.json says what was asked and read. Run again, it draws only what is missing or was
    asked for otherwise. Values are intensities: A to E, or AU12:3.5, 0 to 5.
    """
    wanted = load("evaluation.picture_batch").picture_requests("prompt", prompts, **asked)
    run = load("evaluation.evaluation_run")
    reader = run.estimator_of(estimator, run.is_bundled(method, options))
    generator = load("methods").open_generator(method, **options)
    finish(generator, reader, output, wanted, "Drawing faces")
