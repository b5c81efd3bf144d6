"""The command line: `au-adapter VERB`, also `python -m au_adapter VERB`.

One function a verb; those that measure are in measuring.py, text is in text_verb.py. Each imports
what it needs when it runs, so that `--help` is quick and a missing extra is named by the verb that
asked for it.
"""

from __future__ import annotations

import ast
import json
import os
from pathlib import Path
from typing import Any

import click

from . import measuring, text_verb  # noqa: F401 - they register their verbs
from .verbs import LOGGER, USER_ERRORS, load, main, verb, with_extra

__all__ = ["main"]

EXPRESSIONS = ("neutral", "base", "expressive", "au", "full", "sided", "natural")


@verb
@click.option("--output", type=click.Path(path_type=Path), default="demo", show_default=True)
def demo(output: Path) -> None:
    """Show faces that follow their AU values, made by a real ComfyUI."""
    load("demo.run").main(output)


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
@click.option("--output", required=True, type=click.Path(path_type=Path), help="Result and state.")
@click.option(
    "--validate-every",
    type=click.IntRange(0),
    metavar="STEPS",
    help="Draw faces at fixed seeds, read their AUs, and keep the best adapter in OUTPUT/best.",
)
@click.option("--estimator", help="What reads them; default: the regressor beside a demo base.")
@click.option(
    "--progress",
    type=click.Choice(("text", "json")),
    default="text",
    help="json: a line for each step and event on standard output, for programs.",
)
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="NAME=VALUE",
    help="Another setting of the recipe, such as batch_size=16.",
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
        chosen = settings | dict(map(_setting, changes))
        result = load("training.run").train(
            recipe, list(data), output, estimate=estimator, report=report, **chosen
        )
    except (*USER_ERRORS, ModuleNotFoundError, click.ClickException) as error:
        kind = type(error).__name__
        report({"event": "error", "kind": kind, "message": str(with_extra(error))})
        raise
    LOGGER.info("The result is in %s", result)


@verb
@click.argument("model", required=False, type=click.Path(path_type=Path))
@click.option("--output", required=True, type=click.Path(path_type=Path), help="Folder for shards.")
@click.option("--count", default=1000, show_default=True, help="Pictures in all.")
@click.option("--size", default=128, show_default=True, help="Pixels of a side.")
@click.option("--seed", default=0, show_default=True)
@click.option(
    "--expressions",
    default="au",
    show_default=True,
    type=click.Choice(EXPRESSIONS),
    help="neutral; base: as people look; expressive: all make a face, and the caption says so; "
    "au: the 12 AUs of set A; full: every AU, one in four on one side; sided: three in four; "
    "natural: every AU, as they go together.",
)
@click.option("--unit", "units", multiple=True, type=int, help="Only these AUs; repeatable.")
@click.option("--first-identity", default=0, show_default=True, help="Number of the first person.")
@click.option(
    "--pose-spread",
    default=1.0,
    show_default=True,
    help="How far heads and eyes turn away: 1 every pose, 0 all face the camera.",
)
@click.option(
    "--neutral-first",
    is_flag=True,
    help="Every person's first picture has a relaxed face: a reference for the others.",
)
@click.option("--workers", default=os.cpu_count() or 1, show_default=True, help="Processes.")
def render(model: Path | None, output: Path, **settings: Any) -> None:
    """Draw labelled faces from MODEL, ICT-FaceKit as one npz; see download and convert.

    Without MODEL, the one made by `au-adapter download ict-facekit` is taken.
    """
    render_dataset = load("data.rendering.dataset").render_dataset
    shards = render_dataset(model or _downloaded_model(), output, **settings)
    click.echo(f"{settings['count']} faces are in {output}, {len(shards)} shards")


@verb
@click.argument("kind", type=click.Choice(("folder", "disfa", "affectnet")))
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

    LABELS is a CSV or JSON lines (folder, affectnet), or DISFA's folder of labels. A stopped run
    goes on where it stopped. card.json counts faces per AU, and what each step left out.
    """
    model = load("data.blip2").Blip2(blip2) if blip2 else None
    card = load("data.kinds").prepare(kind, pictures, labels, output, model=model, **choices)
    for step in card["steps"]:
        click.echo(f"{step['dropped']} of {step['in']} left out: {step['step']}")
    click.echo(f"{card['faces']} faces are in {output}, {len(card['shards'])} shards")


@verb
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("output", type=click.Path(path_type=Path))
def convert(source: Path, output: Path) -> None:
    """Turn SOURCE as published into the one file OUTPUT that this project reads.

    The ending of OUTPUT says what is made. .safetensors: an AU-Adapter, from the folder of
    FineFace's files or any one of them; or MagicFace, from the folder of both its UNets. .npz: the
    face model for `au-adapter render`, from the folder of ICT-FaceKit's OBJ files.
    """
    click.echo(f"Wrote {load('weights.convert').convert(source, output)}")


@verb
@click.argument("name", required=False)
@click.option("--output", type=click.Path(path_type=Path), help="Folder; default: the cache.")
@click.option("--files", is_flag=True, help="Only list its files with size and SHA-256.")
@click.option("--manual", is_flag=True, help="Only say what to copy where by hand.")
def download(name: str | None, output: Path | None, files: bool, manual: bool) -> None:
    """Fetch NAME and make it ready to use; without NAME, list what there is.

    Resumes where it stopped and checks every file's SHA-256.
    """
    downloads = load("weights.downloads")
    chosen = [downloads.find(name)] if name else list(downloads.DOWNLOADS.values())
    for entry in chosen:
        click.echo(entry.description(files))
        if manual:
            click.echo(downloads.by_hand(entry, output))
    if name is None or files or manual:
        return
    folder = downloads.fetch(chosen[0], output)
    click.echo(f"Everything is in {folder}")
    _make_ready(name, folder)


def _make_ready(name: str, folder: Path) -> None:
    """What follows a download: one file, where the publisher has many."""
    convert = load("weights.convert").convert
    if name == "ict-facekit":
        packed = load("weights.downloads").face_model().name
        click.echo(f"Packed for `au-adapter render`: {convert(folder, folder / packed)}")
    if name.startswith("fineface"):
        file = convert(folder, folder / "converted" / f"{name}.safetensors")
        click.echo(f"In one file, to copy into ComfyUI/models/au_adapter: {file}")
    if name == "magicface":
        click.echo("Copy or move its two folders into ComfyUI/models/magicface")


def _downloaded_model() -> Path:
    path = load("weights.downloads").face_model()
    if not path.is_file():
        raise FileNotFoundError(
            f"There is no face model in {path}: run `au-adapter download ict-facekit`, or name "
            "the npz made by `au-adapter convert`"
        )
    return path


def _setting(text: str) -> tuple[str, Any]:
    """A name and its value: JSON such as 8, 1e-4 and true, or Python's True and .001, or else the
    text itself."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise ValueError(f"--set takes NAME=VALUE such as batch_size=16, found '{text}'")
    for read in (json.loads, ast.literal_eval):
        try:
            return name, read(value)
        except (ValueError, SyntaxError):
            continue
    return name, value
