"""The command line: `au-adapter VERB`, also `python -m au_adapter VERB`.

One function a verb. Each imports what it needs when it runs, so that `--help` is quick and a
missing extra is named by the verb that asked for it.
"""

from __future__ import annotations

import ast
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
# Which extra of pyproject.toml brings a package.
EXTRAS = {
    "accelerate": "train",
    "diffusers": "train",
    "peft": "train",
    "torchvision": "train",
    "transformers": "train",
    "moderngl": "render",
    "matplotlib": "eval",
}
# What a person can mend; anything else is a bug and keeps its traceback.
USER_ERRORS = (ValueError, OSError, RuntimeError, MemoryError)
EXPRESSIONS = ("neutral", "base", "expressive", "au", "full", "sided", "natural")


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
        except ModuleNotFoundError as error:
            raise _with_extra(error) from error

    return main.command()(guarded)


def load(module: str) -> ModuleType:
    """Import a module of the library. An optional package that is missing is named with its
    extra, in one sentence."""
    try:
        return import_module(f".{module}", __package__)
    except ModuleNotFoundError as error:
        raise _with_extra(error) from error


def _with_extra(error: Exception) -> Exception:
    """The sentence for an optional package that is missing; any other error as it is."""
    package = ((isinstance(error, ModuleNotFoundError) and error.name) or "").partition(".")[0]
    if package not in EXTRAS:
        return error
    return click.ClickException(
        f"This needs the package {package}. Install it with: "
        f'pip install "au-adapter[{EXTRAS[package]}]"'
    )


@verb
@click.option("--output", type=click.Path(path_type=Path), default="demo", show_default=True)
def demo(output: Path) -> None:
    """Show faces that follow their AU values, made by a real ComfyUI."""
    load("demo.run").main(output)


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
        report({"event": "error", "kind": kind, "message": str(_with_extra(error))})
        raise
    LOGGER.info("The result is in %s", result)


PATH = click.Path(path_type=Path)


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
