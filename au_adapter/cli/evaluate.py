"""`au-adapter evaluate`: measure by a paper's protocol, or the pictures of a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .method_options import ADAPTER_FLAGS, EDIT_FLAGS, ESTIMATOR, method_options
from .verb import PATH, load, verb


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
@click.option(
    "--method",
    metavar="NAME|MODULE:FUNCTION",
    help="Of prompts: au-adapter (default), words, base, and with --set trained=FOLDER lora-text, "
    "lora-au, dreambooth. Of photos: au-adapter-sdedit (default), magicface. Or code that makes "
    "one.",
)
@click.option("--photos", type=PATH, help="For magicface: a folder of 20 people.")
@click.option(
    "--frames", type=PATH, help="For aueditnet: a CSV with file, subject and aus, or renders."
)
@click.option("--limit", type=click.IntRange(1), help="A trial of so many pictures.")
@click.option(
    "--rounds",
    type=click.IntRange(1),
    default=1,
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
@click.option("--real", type=PATH, help="A folder of real pictures, for FID and KID.")
@click.option(
    "--features",
    metavar="MODULE:FUNCTION",
    help="With --real: code that makes the network of FID and KID, a function from pictures "
    "[N, H, W, 3] to features [N, D]; one that gives class scores [N, C] too adds the Inception "
    "Score.",
)
@ESTIMATOR
@method_options(*ADAPTER_FLAGS, *EDIT_FLAGS)
def evaluate(what: str, output: Path, **settings: Any) -> None:
    """Measure by a paper's PROTOCOL (fineface, magicface, aueditnet), or the pictures of FOLDER.

    Goes on where it stopped; `accelerate launch -m au_adapter evaluate ...` shares the work.
    """
    paths = load("evaluation.evaluation_run").evaluate(what, output, **settings)
    click.echo("".join(f"{path}\n" for path in paths), nl=False)
