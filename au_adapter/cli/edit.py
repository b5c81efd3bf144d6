"""`au-adapter edit`: the faces of photos, with other Action Units."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .method_options import ADAPTER_FLAGS, EDIT_FLAGS, ESTIMATOR, method_options
from .request_options import finish, request_options
from .verb import PATH, load, verb


@verb
@click.argument("photos", metavar="PHOTO|FOLDER...", nargs=-1, type=PATH)
@click.option(
    "--method",
    metavar="NAME|MODULE:FUNCTION",
    default="magicface",
    help="magicface, which takes changes; au-adapter-sdedit, which takes intensities; or code that "
    "makes one.",
)
@request_options("file")
@click.option(
    "--scale",
    type=click.Choice(("absolute", "change")),
    help="Whether AUs are intensities to show, or added to what the photo shows; default: as the "
    "method takes them. Between the two lies what the estimator reads on the photo.",
)
@click.option("--face", type=click.IntRange(0), default=0, help="The largest is 0.")
@click.option(
    "--attention",
    is_flag=True,
    help="Also draw where MagicFace's attentions look, step after step: a sheet for each edit in "
    "the folder attention of OUTPUT.",
)
@ESTIMATOR
@method_options(*ADAPTER_FLAGS, *EDIT_FLAGS)
def edit(
    photos: tuple[Path, ...],
    method: str,
    output: Path,
    scale: str | None,
    face: int,
    attention: bool,
    estimator: str | None,
    options: dict,
    **asked: Any,
) -> None:
    """Edit the face of each PHOTO, for all AUs and seeds, into labelled PNG files.

    pictures.json says what was asked and read. Run again, it edits only what is missing or was
    asked for otherwise. Ends with code 1 where a photo could not be edited; the others are.
    """
    batch = load("evaluation.picture_batch")
    wanted = batch.picture_requests("photo", batch.photo_files(photos), **asked)
    reader = load("evaluation.evaluation_run").estimator_of(estimator, bundled=False)
    editor = load("methods").open_editor(method, **options)
    if attention and scale not in (None, editor.scale):
        raise ValueError(f"--attention goes with --scale {editor.scale}, as {method} is asked")
    if attention:
        sheets = load("evaluation.attention_sheet")
        sheets.write_sheets(editor, wanted, output / "attention", face)
    finish(editor, reader, output, wanted, "Editing faces", scale=scale, face=face)
