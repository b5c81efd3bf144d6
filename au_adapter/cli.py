"""The command `au-adapter`, also `python -m au_adapter`: one function for each verb.

A verb imports what it needs when it runs, so that `--help` is quick and a missing extra of one verb
keeps no other from working.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

import click

from au_adapter import __version__

LOGGER = logging.getLogger("au_adapter")
EXTRAS = {"accelerate": "train", "diffusers": "train", "peft": "train", "transformers": "train",
          "moderngl": "render", "matplotlib": "eval"}  # fmt: skip


class Sentences(click.Group):
    """A group of verbs whose foreseen errors end in one sentence; `--verbose` adds where."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except (click.exceptions.Exit, click.Abort, BrokenPipeError):  # click ends by these
            raise
        except ModuleNotFoundError as error:
            raise click.ClickException(_missing_module(error)) from error
        except (OSError, ValueError, RuntimeError) as error:
            LOGGER.debug("Where it happened:", exc_info=True)
            raise click.ClickException(str(error)) from error


def _missing_module(error: ModuleNotFoundError) -> str:
    module = (error.name or "").split(".")[0]
    extra = EXTRAS.get(module)
    package = f"'au-adapter[{extra}]'" if extra else module
    return f"The Python package {module} is missing. Install it with: pip install {package}"


@click.group(cls=Sentences)
@click.version_option(__version__)
@click.option("--verbose", is_flag=True, help="Say more, and where an error happened.")
def main(verbose: bool) -> None:
    """Facial expression by Action Units."""
    logging.basicConfig(format="%(message)s")
    LOGGER.setLevel(logging.DEBUG if verbose else logging.INFO)


@main.command()
def demo() -> None:
    """Make faces that follow their AU values in a real ComfyUI, with figures, in demo/."""
    from au_adapter.demo.run import main as run_demo

    run_demo()


@main.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--output", type=click.Path(path_type=Path), required=True, help="Folder to fill.")
@click.option("--count", default=100, show_default=True, help="How many pictures.")
@click.option("--size", default=128, show_default=True, help="Width and height in pixels.")
@click.option("--seed", default=0, show_default=True, help="Same seed, same pictures.")
@click.option(
    "--expressions", default="au", show_default=True,
    type=click.Choice(["neutral", "base", "au", "full"]),
    help="neutral: none; base: everyday faces; au: the 12 AUs of set A; full: every AU.",
)  # fmt: skip
@click.option("--first-identity", default=0, show_default=True, help="Number of the first person.")
@click.option("--workers", default=os.cpu_count() or 1, show_default=True, help="Processes.")
def render(model: Path, output: Path, **settings: Any) -> None:
    """Draw heads with known Action Units from the face model MODEL, an npz file."""
    from au_adapter.data.rendering.dataset import render_dataset

    shards = render_dataset(model, output, **settings)
    click.echo(f"{settings['count']} pictures in {len(shards)} files in {output}")


@main.command()
@click.option("--recipe", required=True, help="Such as fineface; a wrong name lists them all.")
@click.option(
    "--data", type=click.Path(exists=True, path_type=Path), required=True, multiple=True,
    help="Folder that `render` wrote; may be given several times.",
)  # fmt: skip
@click.option("--output", type=click.Path(path_type=Path), required=True, help="Folder of the run.")
@click.option("--steps", type=int, help="How many; without, what the recipe says.")
@click.option(
    "--set", "changes", multiple=True, metavar="NAME=VALUE",
    help="Another setting of the recipe, such as batch_size=8 or base=FOLDER.",
)  # fmt: skip
def train(
    recipe: str, data: tuple[Path, ...], output: Path, steps: int | None, changes: tuple[str, ...]
) -> None:
    """Train by a recipe; a run that was interrupted goes on where it stopped."""
    from au_adapter.training.run import train as run_training

    result = run_training(recipe, list(data), output, steps=steps, **_settings(changes))
    click.echo(f"The result is in {result}")


def _settings(changes: tuple[str, ...]) -> dict[str, Any]:
    """Read NAME=VALUE pairs; a value is JSON (8, 1e-4, true) or else the text itself."""
    settings: dict[str, Any] = {}
    for change in changes:
        name, equals, value = change.partition("=")
        if not equals:
            raise ValueError(f"--set {change}: expected NAME=VALUE, such as batch_size=8")
        try:
            settings[name] = json.loads(value)
        except json.JSONDecodeError:
            settings[name] = value
    return settings


@main.command()
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@click.argument("output", type=click.Path(path_type=Path))
def convert(source: Path, output: Path) -> None:
    """Turn SOURCE as published into the one file OUTPUT that we read.

    SOURCE is the folder of ICT-FaceKit; OUTPUT an npz file for `render`.
    """
    from au_adapter.data.rendering.ict import convert_folder

    click.echo(f"Written: {convert_folder(source, output)}")


@main.command()
@click.argument("name", required=False)
@click.option("--output", type=click.Path(path_type=Path), help="Folder; else the user's cache.")
@click.option("--files", is_flag=True, help="Only list its files with size and SHA-256.")
def download(name: str | None, output: Path | None, files: bool) -> None:
    """Fetch NAME, going on where an earlier try stopped; without NAME, list what there is."""
    from au_adapter.weights import downloads

    for entry in downloads.DOWNLOADS.values() if name is None else [downloads.find(name)]:
        click.echo(
            f"{entry.name}: {entry.title}\n  licence {entry.licence}, {entry.size() / 1e6:.0f} MB "
            f"in {len(entry.table())} files, from {entry.source}"
        )
        if files:
            for path, (size, digest) in entry.table().items():
                click.echo(f"  {digest} {size:9} {path}")
        elif name:
            folder = downloads.fetch(entry, output)
            click.echo(f"It is in {folder}\nNext: {entry.after.replace('FOLDER', str(folder))}")
