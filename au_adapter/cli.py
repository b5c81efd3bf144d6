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
        click.echo(_description(entry, files))
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
        click.echo(f"Packed for `au-adapter render`: {convert(folder, folder / PACKED_MODEL)}")
    if name.startswith("fineface"):
        file = convert(folder, folder / "converted" / f"{name}.safetensors")
        click.echo(f"In one file, to copy into ComfyUI/models/au_adapter: {file}")
    if name == "magicface":
        click.echo("Copy or move its two folders into ComfyUI/models/magicface")


def _description(entry: Any, files: bool) -> str:
    """What a person decides by: title, licence, size and source; on request, every file."""
    table = entry.table()
    about, hashes = ("", "--files") if entry.pinned else ("about ", "as Hugging Face names it")
    lines = [
        f"{entry.name}: {entry.title}",
        f"  licence {entry.licence}, {about}{entry.size() / 1e6:.0f} MB in {len(table)} files "
        f"(their SHA-256: {hashes})",
        f"  from {entry.source}",
    ]
    if files:
        lines += [
            f"  {digest or 'asked of Hugging Face before the file is fetched':64} {size:9} {path}"
            for path, (size, digest) in table.items()
        ]
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
