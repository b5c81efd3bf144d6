"""The command: `python -m tools.train_bundled --model ict_facekit.npz`."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import click

from .plan import DRAWS, STAGES

LOGGER = logging.getLogger("au_adapter")
FOLDER = "au-adapter/bundled-training"


def default_output() -> Path:
    """The user's cache folder, where runs outlive a checkout."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / FOLDER


@click.command()
@click.option(
    "--model",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="The face model, as `au-adapter download ict-facekit` leaves it.",
)
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=default_output,
    show_default="the user's cache folder",
    help="Renders, runs, checks and the packed models; a stopped run goes on there.",
)
@click.option(
    "--stage",
    "stages",
    multiple=True,
    type=click.Choice((*STAGES, "pack")),
    help="One stage alone, with the renders that it needs; may be given more than once. Default: "
    "all.",
)
@click.option("--device", type=click.Choice(("auto", "cpu", "cuda")), default="auto")
@click.option("--workers", type=click.IntRange(1), default=1, help="Processes that render.")
@click.option(
    "--bundled",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the packed models go; default: bundled in OUTPUT.",
)
def main(
    model: Path,
    output: Path,
    stages: tuple[str, ...],
    device: str,
    workers: int,
    bundled: Path | None,
) -> None:
    """Make the bundled models from nothing: render, train, check, pack.

    The sizes and seeds are in tools/train_bundled/plan.py. On one processor core all stages take
    about a day, on a GPU a fraction of it. Stop it whenever you like: the same command goes on
    where it was. OUTPUT then has report.md, which says what each stage cost and what came of it,
    sheets/ to look at, and bundled/, the folder that AU_ADAPTER_DEMO may name.

    `OMP_NUM_THREADS=1 ACCELERATE_USE_CPU=true torchrun --nproc-per-node 2 -m tools.train_bundled`
    trains on two cores: 1.6 times as fast, and the same weights up to rounding.
    """
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    LOGGER.setLevel(logging.INFO)
    _choose_device(device)
    from au_adapter.processes import launched_processes

    from .checks import check, write_table
    from .packing import pack_all
    from .work import Stopped, Workshop, agreed_precision

    processes = launched_processes()
    first = processes.is_main_process  # the one that renders, checks and packs
    shop = Workshop(model, output, agreed_precision(), workers)
    chosen = stages or (*STAGES, "pack")
    try:
        for name in (name for name in STAGES if name in chosen):
            stage = STAGES[name]
            for draw in (*stage.draws, *stage.checked_on) if first else ():
                shop.render(draw, DRAWS[draw])
            processes.wait_for_everyone()
            shop.train(name, stage)
            if first:
                check(name, shop)
                write_table(shop)
    except Stopped as stopped:
        raise click.ClickException(f"{stopped}; the same command goes on from there") from stopped
    if first and "pack" in chosen:
        pack_all(shop, bundled or output / "bundled")


def _choose_device(device: str) -> None:
    """Before torch is imported: what it does not see, nothing uses."""
    if device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    elif device == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise click.UsageError("--device cuda: PyTorch finds no CUDA device here")


if __name__ == "__main__":
    main()
