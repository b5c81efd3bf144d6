"""The command line: `au-adapter VERB`, also `python -m au_adapter VERB`.

One function a verb. Each imports what it needs when it runs, so that `--help` is quick and a
missing extra is named by the verb that asked for it.
"""

from __future__ import annotations

import functools
import json
import logging
import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import click

from . import __version__

LOGGER = logging.getLogger("au_adapter")
PACKED_MODEL = "ict_facekit_light.npz"
# Which extra of pyproject.toml brings a package.
EXTRAS = {
    "accelerate": "train",
    "diffusers": "train",
    "peft": "train",
    "transformers": "train",
    "moderngl": "render",
    "matplotlib": "eval",
}
# What a person can mend; anything else is a bug and keeps its traceback.
USER_ERRORS = (ValueError, OSError, RuntimeError)
EXPRESSIONS = ("neutral", "base", "au", "full")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, package_name="au-adapter")
@click.option("--verbose", is_flag=True, help="Say more, and where an error happened.")
def main(verbose: bool) -> None:
    """Facial expression under muscle-level control, by FACS Action Units."""
    logging.basicConfig(format="%(message)s")
    LOGGER.setLevel(logging.DEBUG if verbose else logging.INFO)


def verb(function: Callable) -> Callable:
    """Register a function as a verb; its ValueError and the like end in one sentence."""

    @functools.wraps(function)
    def guarded(*arguments: object, **options: object) -> None:
        try:
            function(*arguments, **options)
        except BrokenPipeError:  # whoever read our output has enough; click knows what to do
            raise
        except USER_ERRORS as error:
            LOGGER.debug("It happened here:", exc_info=True)
            raise click.ClickException(str(error)) from error

    return main.command()(guarded)


def load(module: str) -> ModuleType:
    """Import a module of the library. An optional package that is missing is named with its
    extra, in one sentence."""
    try:
        return import_module(f".{module}", __package__)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRAS:
            raise
        raise click.ClickException(
            f"This needs the package {package}. Install it with: "
            f'pip install "au-adapter[{EXTRAS[package]}]"'
        ) from error


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
    type=click.Path(path_type=Path),
    help="A folder of labelled faces; may be given more than once.",
)
@click.option("--steps", type=click.IntRange(1), help="Default: the recipe's.")
@click.option("--output", required=True, type=click.Path(path_type=Path), help="Result and state.")
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="NAME=VALUE",
    help="Another setting of the recipe, such as batch_size=16.",
)
def train(
    recipe: str, data: tuple[Path, ...], steps: int | None, output: Path, changes: tuple[str, ...]
) -> None:
    """Train by a recipe. Goes on where an earlier run into the same folder stopped."""
    result = load("training.run").train(
        recipe, list(data), output, steps=steps, **dict(map(_setting, changes))
    )
    click.echo(f"The result is in {result}")


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
    help="neutral; base: as people look; au: the 12 AUs of set A; full: every AU, sides apart.",
)
@click.option("--first-identity", default=0, show_default=True, help="Number of the first person.")
@click.option(
    "--pose-spread",
    default=1.0,
    show_default=True,
    help="How far heads and eyes turn away: 1 every pose, 0 all face the camera.",
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
@click.option("--format", "form", help="Of the table: plain, libreface, openface, py-feat, ...")
@click.option("--variant", help="paper or released, where FineFace's paper and code differ.")
@click.option("--fold", "folds", multiple=True, type=int, help="Of DISFA's subjects; repeatable.")
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

    Known so far: the folder of ICT-FaceKit's OBJ files, into an npz for `au-adapter render`.
    """
    click.echo(f"Wrote {load('data.rendering.ict').convert_folder(source, output)}")


@verb
@click.argument("name", required=False)
@click.option("--output", type=click.Path(path_type=Path), help="Folder; default: the cache.")
@click.option("--files", is_flag=True, help="Only list its files with size and SHA-256.")
def download(name: str | None, output: Path | None, files: bool) -> None:
    """Fetch NAME and make it ready to use; without NAME, list what there is.

    Resumes where it stopped and checks every file's SHA-256.
    """
    downloads = load("weights.downloads")
    for entry in [downloads.find(name)] if name else downloads.DOWNLOADS.values():
        click.echo(_description(entry, files))
    if name is None or files:
        return
    folder = downloads.fetch(downloads.find(name), output)
    click.echo(f"Everything is in {folder}")
    if name == "ict-facekit":
        model = load("data.rendering.ict").convert_folder(folder, folder / PACKED_MODEL)
        click.echo(f"Packed for `au-adapter render`: {model}")


def _description(entry: Any, files: bool) -> str:
    """What a person decides by: title, licence, size and source; on request, every file."""
    table = entry.table()
    lines = [
        f"{entry.name}: {entry.title}",
        f"  licence {entry.licence}, {entry.size() / 1e6:.0f} MB in {len(table)} files "
        "(their SHA-256: --files)",
        f"  from {entry.source}",
    ]
    if files:
        lines += [f"  {digest} {size:9} {path}" for path, (size, digest) in table.items()]
    return "\n".join(lines)


def _downloaded_model() -> Path:
    path = load("weights.downloads").cache_folder("ict-facekit") / PACKED_MODEL
    if not path.is_file():
        raise FileNotFoundError(
            f"There is no face model in {path}: run `au-adapter download ict-facekit`, or name "
            "the npz made by `au-adapter convert`"
        )
    return path


def _setting(text: str) -> tuple[str, Any]:
    """A name and its value: JSON such as 8, 1e-4 and true, or else the text itself."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise ValueError(f"--set takes NAME=VALUE such as batch_size=16, found '{text}'")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value
