"""MagicFace's Tables II, III and IV again: on rendered faces and the bundled base.

    python -m benchmarks.magicface_tables --size trial|evening [--clip FOLDER] [--cell NAME]

Each cell is trained in a folder of its own on all shards of the renders but the last, whose people
nobody has learnt from: their photos are edited towards the AUs of another picture of the person. A
stopped run goes on. AUs are read by the bundled regressor, all else by Google's models where they
are; the paper's numbers, of Stable Diffusion 1.5 and photographs, stand beside ours.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from torch import Tensor

from au_adapter.bases import family_of, load_base
from au_adapter.bases.family import to_unit_range
from au_adapter.bundled import demo_folder
from au_adapter.data.rendered import RenderedSet, gather, iterate_shard
from au_adapter.data.shards import find_shards
from au_adapter.disk import write_json, write_text
from au_adapter.estimators.bundled_regressor import load_regressor
from au_adapter.evaluation.comparison import comparison
from au_adapter.methods.magicface_editor import edit_latents
from au_adapter.models.magicface import GUIDANCE
from au_adapter.training.pairs import Partners, with_jaw
from au_adapter.training.recipes.magicface_recipe import encode_prompt
from au_adapter.training.results import training_hours
from au_adapter.training.run import train
from au_adapter.training.run_files import read_description
from au_adapter.training.sources import find_faces
from au_adapter.weights.autoencoder_files import load_autoencoder
from au_adapter.weights.clip_vision import ImageEncoder, load_image_encoder
from au_adapter.weights.magicface_files import load_magicface
from tools import face_files

RESULTS = Path(__file__).parent / "results"
WORK = Path(__file__).parents[1] / ".cache" / "benchmarks" / "magicface_tables"
FIRST_SEED = 9001
GUIDANCES = (0.5, 1.5, 2.5, 3.0, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5, 9.5, 10.5, 11.5, 12.5, 13.5)


@dataclass(frozen=True)
class Cell:
    """One training. tables: those that show it. paper: AU MSE, ID, background and pose there."""

    name: str
    tables: tuple[str, ...]
    paper: tuple[float, ...]
    options: dict[str, Any] = field(default_factory=dict)
    guidance: tuple[float, ...] = (GUIDANCE,)


CELLS = (
    Cell("MagicFace", ("II", "III", "IV"), (0.261, 0.473, 0.044, 0.032), {}, GUIDANCES),
    Cell("ControlNet", ("II",), (0.725, 0.664, 0.164, 0.032), {"identity": "controlnet"}),
    Cell("Cont. All", ("II",), (0.673, 0.610, 0.130, 0.033), {"identity": "controlnet_all"}),
    Cell("Conv ID.", ("II",), (0.462, 0.574, 0.070, 0.033), {"identity": "conv"}),
    Cell("CLIP ID.", ("II",), (0.406, 0.543, 0.073, 0.032), {"identity": "clip"}),
    Cell("MLP+Conv", ("III",), (0.204, 0.501, 0.044, 0.032), {"au_encoder": "mlp_conv"}),
    Cell(
        "ZeroAppend+Time", ("III",), (0.282, 0.495, 0.054, 0.032),
        {"au_encoder": "zero_append_time"},
    ),
    Cell("no AU dropout", ("IV",), (0.360, 0.480, 0.044, 0.032), {"dropout": 0.0}, (1.0,)),
)  # fmt: skip
# Table IV's AU MSE by guidance.
PAPER_GUIDANCE = dict(
    zip(
        GUIDANCES,
        (0.357, 0.333, 0.281, 0.261, 0.264, 0.280, 0.286, 0.293, 0.298, 0.305, 0.309, 0.315, 0.323,
         0.331, 0.350),
        strict=True,
    )
)  # fmt: skip


@dataclass(frozen=True)
class Size:
    """How much is done. data: see `training.sources`. photos: that are edited."""

    training: dict[str, Any]
    data: str
    photos: int
    steps: int = 20


SIZES = {
    "smoke": Size({"steps": 2, "batch_size": 2}, "rendered", 2, 2),
    "trial": Size(
        {"steps": 300, "batch_size": 8, "learning_rate": 4e-4, "mixed_precision": "bf16",
         "warmup_steps": 20, "decay_steps": 100, "average_decay": 0.98, "save_every": 50},
        "rendered", 12, 10,
    ),
    "evening": Size(
        {"steps": 4000, "batch_size": 16, "learning_rate": 4e-4, "mixed_precision": "bf16",
         "warmup_steps": 100, "decay_steps": 1000, "average_decay": 0.998},
        "rendered:4000", 64,
    ),
}  # fmt: skip


@click.command()
@click.option("--size", type=click.Choice(tuple(SIZES)), required=True)
@click.option("--clip", type=click.Path(path_type=Path), help="A CLIP folder, for CLIP ID.")
@click.option(
    "--cell", "names", multiple=True, type=click.Choice([cell.name for cell in CELLS]),
    help="Only these cells.",
)  # fmt: skip
def main(size: str, clip: Path | None, names: tuple[str, ...]) -> None:
    """Make what is not made yet, then write results/magicface_tables_SIZE.{json,md}."""
    chosen = [cell for cell in CELLS if not names or cell.name in names]
    run(SIZES[size], WORK / size, RESULTS, f"magicface_tables_{size}", chosen, clip)


def run(
    size: Size,
    work: Path,
    results: Path,
    name: str,
    cells: Sequence[Cell] = CELLS,
    clip: Path | None = None,
    base: Path | None = None,
) -> Path:
    """The cells of a size on a base, and the report of all that are done; the report's file."""
    base = base or demo_folder()
    *learnt, held_out = find_shards(find_faces(size.data, work))
    if not learnt:
        raise click.ClickException(
            f"{held_out.parent} has one shard, and one is held out: draw more"
        )
    data = work / "learnt"
    data.mkdir(parents=True, exist_ok=True)
    for shard in learnt:
        if not (data / shard.name).is_file():
            shutil.copyfile(shard, data / shard.name)
    faces = gather(list(iterate_shard(held_out)))
    for cell in cells:
        if cell.name == "CLIP ID." and clip is None:
            click.echo("CLIP ID. needs a CLIP: give --clip")
            continue
        folder = work / cell.name.replace(" ", "_")
        if not (folder / "cell.json").is_file():
            options = {**cell.options, **({"clip": str(clip)} if cell.name == "CLIP ID." else {})}
            result = train("magicface", [data], folder, base=str(base), **options, **size.training)
            step, last = read_description(result)["step"], size.training["steps"]
            if step < last:  # a signal ends a training as if it were done
                raise click.ClickException(
                    f"{cell.name} stopped at step {step} of {last}: run this again"
                )
            image_encoder = load_image_encoder(clip) if "clip" in options else None
            found = measure(result, base, faces, cell.guidance, size, image_encoder)
            write_json(folder / "cell.json", {**found, "hours": training_hours(folder)})
        click.echo(f"{cell.name} is in {folder}")
    return write_report(work, results, name, size, clip)


def measure(
    result: Path,
    base: Path,
    faces: RenderedSet,
    guidances: Sequence[float],
    size: Size,
    image_encoder: ImageEncoder | None = None,
) -> dict[str, Any]:
    """Guidance -> mean of each metric over edits of photos towards another picture of the person;
    and "nothing", the AU error of the photos themselves."""
    partners = Partners(faces.identity)
    photos = partners.rows[: size.photos]
    targets = [int(partners.of(row)[0]) for row in photos]
    asked = torch.from_numpy(faces.aus)
    pictures = torch.from_numpy(faces.images[photos]).float() / 255
    reader = load_regressor(base / "regressor.safetensors")

    def au_error(shown: Tensor) -> float:
        return float((reader.read(shown) - asked[targets]).square().mean())

    compare = comparison([face_files.MODELS])
    found: dict[str, Any] = {"nothing": au_error(pictures)}
    changes = asked[targets] - asked[photos]
    for guidance in guidances:
        drawn = edit(result, base, faces, photos, changes, guidance, size.steps, image_encoder)
        with torch.no_grad():
            measured = compare(drawn, pictures)
        means = {metric: float(values.nanmean()) for metric, values in measured.items()}
        found[f"{guidance:g}"] = {"au_mse": au_error(drawn), **means}
    return found


@torch.no_grad()
def edit(
    result: Path,
    base: Path,
    faces: RenderedSet,
    photos: Sequence[int],
    changes: Tensor,
    guidance: float,
    steps: int,
    image_encoder: ImageEncoder | None = None,
) -> Tensor:
    """Pictures [N, H, W, 3] in 0..1: each photo with its change of AUs, of changes [N, 12]."""
    network, autoencoder = load_magicface(result / "magicface.safetensors"), load_autoencoder(base)
    pipeline = load_base(base)
    text = encode_prompt(family_of(pipeline), pipeline)
    behind = with_jaw(faces, network.controller.scale).images
    scaling, drawn = pipeline.vae.config.scaling_factor, []
    for number, (photo, change) in enumerate(zip(photos, changes, strict=True)):
        latents, background = (
            autoencoder.encode(to_unit_range(torch.from_numpy(np.array(each[photo])[None])))
            for each in (faces.images, behind)
        )
        seen = latents
        if image_encoder:
            seen = image_encoder.tokens(torch.from_numpy(faces.images[[photo]]) / 255)
        noise = torch.randn(
            latents.shape, generator=torch.Generator().manual_seed(FIRST_SEED + number)
        )
        found = edit_latents(network, text, seen, background, change[None], noise, steps, guidance)
        drawn.append(autoencoder.decode(found / scaling) / 2 + 0.5)
    return torch.cat(drawn).clamp(0, 1).movedim(1, -1)


def write_report(work: Path, results: Path, name: str, size: Size, clip: Path | None) -> Path:
    """Write NAME.json and NAME.md of the cells that are done; the Markdown's path."""
    done = {
        cell.name: json.loads((work / cell.name.replace(" ", "_") / "cell.json").read_text())
        for cell in CELLS
        if (work / cell.name.replace(" ", "_") / "cell.json").is_file()
    }
    results.mkdir(parents=True, exist_ok=True)
    write_json(results / f"{name}.json", {"schema": 1, "training": size.training, "cells": done})
    nothing = next(iter(done.values()))["nothing"]
    lines = [
        f"# {name}",
        "",
        f"{size.training['steps']} steps of {size.training['batch_size']} pairs a cell on rendered "
        f"faces; {size.photos} photos of people who were not learnt from, each edited towards "
        "another picture of the person. AU MSE over 12 AUs, by the bundled regressor: a photo that "
        f"stays as it is has {nothing:.2f}. The paper's numbers are of Stable Diffusion 1.5, "
        "photographs and LibreFace; its identity needs a network that this project does not bring.",
    ]
    for table in ("II", "III"):
        lines += [
            "",
            f"## Table {table}",
            "",
            *_table([c for c in CELLS if table in c.tables], done),
        ]
    lines += ["", "## Table IV", "", *_guidance_table(done)]
    if missing := [cell.name for cell in CELLS if cell.name not in done]:
        lines += ["", f"Not made: {', '.join(missing)}."]
    write_text(results / f"{name}.md", "\n".join(lines) + "\n")
    return results / f"{name}.md"


def _table(cells: Sequence[Cell], done: dict[str, Any]) -> list[str]:
    lines = [
        "| | AU MSE | of doing nothing | background RMSE | head pose RMSE | "
        "paper: AU MSE, background, pose | hours |",
        "|---|---|---|---|---|---|---|",
    ]
    for cell in (cell for cell in cells if cell.name in done):
        found = done[cell.name]
        at = found[f"{cell.guidance[0] if len(cell.guidance) == 1 else GUIDANCE:g}"]
        paper = f"{cell.paper[0]:.3f}, {cell.paper[2]:.3f}, {cell.paper[3]:.3f}"
        numbers = [at["au_mse"], at["au_mse"] / found["nothing"], at.get("background_rmse"),
                   at.get("head_pose_rmse")]  # fmt: skip
        cells_of = " | ".join("-" if n is None else f"{n:.3f}" for n in numbers)
        lines.append(f"| {cell.name} | {cells_of} | {paper} | {found['hours']:.2f} |")
    return lines


def _guidance_table(done: dict[str, Any]) -> list[str]:
    lines = ["| AU dropout | guidance | AU MSE | background RMSE | paper: AU MSE |",
             "|---|---|---|---|---|"]  # fmt: skip
    if "no AU dropout" in done:
        lines.append(_guidance_row("without", "1", done["no AU dropout"]["1"], 0.360))
    for guidance, paper in PAPER_GUIDANCE.items():
        if at := done.get("MagicFace", {}).get(f"{guidance:g}"):
            lines.append(_guidance_row("with", f"{guidance:g}", at, paper))
    return lines


def _guidance_row(dropout: str, guidance: str, at: dict[str, float], paper: float) -> str:
    background = at.get("background_rmse")
    shown = "-" if background is None else f"{background:.3f}"
    return f"| {dropout} | {guidance} | {at['au_mse']:.3f} | {shown} | {paper:.3f} |"


if __name__ == "__main__":
    main()
