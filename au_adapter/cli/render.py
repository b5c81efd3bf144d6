"""`au-adapter render`: labelled heads drawn from the ICT face model."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from .verb import PATH, load, verb

EXPRESSIONS = ("neutral", "base", "expressive", "au", "full", "sided", "natural")


@verb
@click.argument("model", required=False, type=PATH)
@click.option("--output", required=True, type=PATH, help="Folder for shards.")
@click.option("--count", default=1000, help="Pictures in all.")
@click.option("--size", default=128, help="Pixels of a side.")
@click.option("--seed", default=0)
@click.option(
    "--expressions",
    default="au",
    type=click.Choice(EXPRESSIONS),
    help="neutral; base: as people look; expressive: all make a face, and the caption says so; "
    "au: the 12 AUs of set A; full: every AU, one in four on one side; sided: three in four; "
    "natural: every AU, as they go together.",
)
@click.option("--unit", "units", multiple=True, type=int, help="Only these AUs; repeatable.")
@click.option("--first-identity", default=0, help="Number of the first person.")
@click.option(
    "--pose-spread",
    default=1.0,
    help="How far heads and eyes turn away: 1 every pose, 0 all face the camera.",
)
@click.option(
    "--neutral-first",
    is_flag=True,
    help="Every person's first picture has a relaxed face: a reference for the others.",
)
@click.option(
    "--one-scene",
    is_flag=True,
    help="A person's pictures share light, background and pose, for VQ-AUFace.",
)
@click.option("--workers", default=os.cpu_count() or 1, help="Processes.")
def render(model: Path | None, output: Path, **settings: Any) -> None:
    """Draw labelled faces from MODEL, ICT-FaceKit as one npz; see download and convert.

    Without MODEL, the one made by `au-adapter download ict-facekit` is taken.
    """
    render_dataset = load("data.rendering.dataset").render_dataset
    found = model or load("weights.downloads").face_model()
    if not (model or found.is_file()):
        raise FileNotFoundError(
            f"There is no face model in {found}: run `au-adapter download ict-facekit`, or name "
            "the npz made by `au-adapter convert`"
        )
    shards = render_dataset(found, output, **settings)
    click.echo(f"{settings['count']} faces are in {output}, {len(shards)} shards")
