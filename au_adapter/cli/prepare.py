"""`au-adapter prepare`: pictures and labels into shards to train on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .verb import PATH, load, verb


@verb
@click.argument("kind", type=click.Choice(("folder", "disfa", "affectnet", "bp4d")))
@click.argument("pictures", type=PATH)
@click.argument("labels", type=PATH)
@click.option(
    "--faces",
    is_flag=True,
    help="Cut out the largest face of each picture, with a mask of the person and the jaw line: "
    "what MagicFace trains on. The pictures of one folder are of one person, unless the labels "
    "have a subject. --size is then 512 by default.",
)
@click.option("--output", required=True, type=PATH, help="Folder for shards.")
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
@click.option("--captions", type=PATH, help="DISFA's captions, a CSV.")
@click.option("--blip2", type=PATH, help="Folder of BLIP-2, to caption.")
@click.option("--size", type=click.IntRange(16), help="Pixels of a side; default: as they are.")
def prepare(
    kind: str,
    pictures: Path,
    labels: Path,
    output: Path,
    faces: bool,
    size: int | None,
    blip2: Path | None,
    **choices: Any,
) -> None:
    """Turn the folder PICTURES and the labels LABELS into shards to train on.

    PICTURES may be a video, or a folder of videos, one for each person. LABELS is a CSV or JSON
    lines (folder, affectnet), DISFA's folder of labels, BP4D's of occurrences (PICTURES then holds
    F001/T1/0001.jpg and so on), or, of a folder, an estimator that reads them: mesh, or code
    MODULE:FUNCTION. A stopped run goes on where it stopped. card.json counts faces per AU, and what
    each step left out.
    """
    model = load("data.blip2").Blip2(blip2) if blip2 else None
    pictures = load("data.video_frames").frames_of(pictures, output / "frames")
    name = str(labels)
    if kind == "folder" and (name in load("estimators").ESTIMATORS or ":" in labels.name):
        reader = load("evaluation.evaluation_run").estimator_of(name, bundled=False)
        labels = load("estimators.picture_labels").label_pictures(reader, pictures, output)
    side = {"cut": size or load("data.face_cutter").SIDE} if faces else {"size": size}
    shards = load("data.prepare_shards")
    card = shards.prepare(kind, pictures, labels, output, model=model, **side, **choices)
    for step in card["steps"]:
        click.echo(f"{step['dropped']} of {step['in']} left out: {step['step']}")
    click.echo(f"{card['faces']} faces are in {output}, {len(card['shards'])} shards")
