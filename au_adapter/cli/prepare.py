"""`au-adapter prepare`: pictures and labels into shards to train on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .verb import load, verb


@verb
@click.argument("kind", type=click.Choice(("folder", "disfa", "affectnet", "bp4d")))
@click.argument("pictures", type=click.Path(path_type=Path))
@click.argument("labels", type=click.Path(path_type=Path))
@click.option("--output", required=True, type=click.Path(path_type=Path), help="Folder for shards.")
@click.option(
    "--format",
    "form",
    help="Of the table: plain, the default of folder; fineface, that of affectnet; libreface, "
    "openface, py-feat.",
)
@click.option(
    "--variant",
    help="paper or released, where FineFace's paper and code differ. Default for disfa: released, "
    "which counts the frames without AUs that the paper puts at about 10 %. Default for "
    "affectnet: paper, whose labels stay in 0..5.",
)
@click.option("--fold", "folds", multiple=True, type=int, help="Of DISFA; default: all, 1 2 3.")
@click.option("--captions", type=click.Path(path_type=Path), help="DISFA's captions, a CSV.")
@click.option("--blip2", type=click.Path(path_type=Path), help="Folder of BLIP-2, to caption.")
@click.option("--size", type=click.IntRange(16), help="Pixels of a side; default: as they are.")
def prepare(
    kind: str, pictures: Path, labels: Path, output: Path, blip2: Path | None, **choices: Any
) -> None:
    """Turn the folder PICTURES and the labels LABELS into shards to train on.

    LABELS is a CSV or JSON lines (folder, affectnet), or DISFA's folder of labels, or BP4D's of
    occurrences (bp4d: PICTURES then holds F001/T1/0001.jpg and so on). A stopped run goes on where
    it stopped. card.json counts faces per AU, and what each step left out.
    """
    model = load("data.blip2").Blip2(blip2) if blip2 else None
    shards = load("data.prepare_shards")
    card = shards.prepare(kind, pictures, labels, output, model=model, **choices)
    for step in card["steps"]:
        click.echo(f"{step['dropped']} of {step['in']} left out: {step['step']}")
    click.echo(f"{card['faces']} faces are in {output}, {len(card['shards'])} shards")
