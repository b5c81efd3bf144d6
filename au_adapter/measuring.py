"""The verbs that measure: `au-adapter estimate`, `evaluate` and `calibrate`."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from .verbs import load, verb

PATH = click.Path(path_type=Path)


@verb
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="JSON for scripts instead of a table.")
@click.option("--neutral", type=click.Path(path_type=Path), help="The same person, relaxed.")
@click.option("--estimator", default="mesh", show_default=True, help="mesh, blendshapes or demo.")
@click.option("--landmarker", type=click.Path(path_type=Path), help="face_landmarker.task.")
@click.option("--levels", default=1, show_default=True, help="2 or more also find small faces.")
def estimate(images: tuple[Path, ...], as_json: bool, **settings: Any) -> None:
    """Read the Action Units of every face in IMAGES, 0 absent .. 5 maximum.

    Ends with code 1 where a file is no picture; the others are read all the same.
    """
    files = load("evaluation.estimators.files")
    result = files.estimate_files(list(images), **settings)
    click.echo(json.dumps(result, indent=1) if as_json else files.table(result))
    if files.unreadable(result):
        raise SystemExit(1)


def subject_options(function: Callable) -> Callable:
    """The options of what is evaluated, gathered as the keyword `subject`."""
    options = (
        click.option("--model", type=PATH, help="A diffusers pipeline's folder; default: bundled."),
        click.option("--steps", type=click.IntRange(1), default=20, show_default=True),
        click.option("--guidance", default=7.5, show_default=True, help="Scale of CFG."),
        click.option("--strength", default=1.0, show_default=True, help="Of the adapter."),
        click.option(
            "--start",
            type=click.FloatRange(0, 1),
            default=0.0,
            show_default=True,
            help="Share of the steps before the AUs act: later, a picture changes less.",
        ),
        click.option("--batch", type=click.IntRange(1), default=8, show_default=True),
        click.option(
            "--estimator",
            metavar="NAME|MODULE:FUNCTION",
            help="mesh, blendshapes or demo, or code that makes one; default: demo for the "
            "bundled model, else mesh.",
        ),
    )

    @functools.wraps(function)
    def gathered(**given: Any) -> None:
        names = ("model", "steps", "guidance", "strength", "start", "batch")
        function(subject={name: given.pop(name) for name in names}, **given)

    for option in reversed(options):
        gathered = option(gathered)
    return gathered


@verb
@click.argument("what", metavar="PROTOCOL|FOLDER")
@click.option("--output", required=True, type=PATH, help="Rows and report; a run goes on there.")
@click.option("--requested", type=PATH, help="With FOLDER: a CSV with file, aus and source.")
@click.option(
    "--changes",
    is_flag=True,
    help="With FOLDER: aus are changes of what the source shows, as MagicFace is asked.",
)
@click.option(
    "--readings",
    type=PATH,
    help="With FOLDER: what LibreFace, OpenFace or py-feat read there, their CSV, instead of an "
    "estimator.",
)
@click.option("--adapter", type=PATH, help="Its adapter file; default: the bundled one.")
@click.option("--calibrated", is_flag=True, help="Ask by the adapter's response curves.")
@click.option("--photos", type=PATH, help="For magicface: a folder of 20 people.")
@click.option(
    "--frames", type=PATH, help="For aueditnet: a CSV with file, subject and aus, or renders."
)
@click.option("--edit-noise", default=0.6, show_default=True, help="Share of a photo drawn anew.")
@click.option("--limit", type=click.IntRange(1), help="A trial of so many pictures.")
@click.option(
    "--rounds",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Ask again until the reading agrees, at most so often.",
)
@click.option("--lpips", type=PATH, help="torchvision's AlexNet weights.")
@click.option("--clip", type=PATH, help="A CLIP folder as transformers saves it, for CLIP-I.")
@click.option(
    "--identity",
    metavar="MODULE:FUNCTION",
    help="Code that makes a face recognition network, a function from pictures [N, H, W, 3] to "
    "embeddings [N, D]: for the identity figures.",
)
@subject_options
def evaluate(
    what: str,
    output: Path,
    subject: dict,
    adapter: Path,
    calibrated: bool,
    edit_noise: float,
    **settings: Any,
) -> None:
    """Measure by a paper's PROTOCOL (fineface, magicface, aueditnet), or the pictures of FOLDER.

    Goes on where it stopped; `accelerate launch -m au_adapter evaluate ...` shares the work.
    """
    subject |= {"adapter": adapter, "calibrated": calibrated, "edit_noise": edit_noise}
    paths = load("evaluation.shell").evaluate(what, output, subject=subject, **settings)
    click.echo("".join(f"{path}\n" for path in paths), nl=False)


@verb
@click.argument("adapter", type=PATH)
@click.argument("output", type=PATH)
@click.option("--strongest", default=7.0, show_default=True, help="The most to ask for, ever.")
@click.option(
    "--price",
    default=25.0,
    show_default=True,
    help="What it costs that the picture changes: intensities for an RMSE of 1; 0: nothing.",
)
@click.option("--faces", type=click.IntRange(1, 12), default=12, help="To learn on, 12 at most.")
@subject_options
def calibrate(adapter: Path, output: Path, **settings: Any) -> None:
    """Measure how ADAPTER answers its sliders on its base; write it with the curves to OUTPUT.

    Switch them on by `calibrated` in AU Encoder, or by encode(vector, calibrated=True).
    """
    path, plot = load("evaluation.shell").calibrate(adapter, output, **settings)
    click.echo(f"The calibrated adapter is {path}; look at {plot}")
