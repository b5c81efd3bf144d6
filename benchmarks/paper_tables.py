"""FineFace's Tables 1, 2 and 3 again: on rendered faces and the bundled base.

    python -m benchmarks.paper_tables --size smoke|evening|full [--clip FOLDER]

Every cell, a method with its settings and a seed, is trained, drawn and read in a folder of its
own, and a stopped run goes on with the cells that are not done. The paper's numbers stand beside
ours; they are of Stable Diffusion 2.1 and photographs, read by LibreFace.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from typing import Any

import click
import torch
from diffusers import StableDiffusionPipeline
from torch import Tensor
from torchvision.utils import save_image

from au_adapter.bases import base_name, load_base
from au_adapter.bundled import demo_folder
from au_adapter.data.shards import find_shards
from au_adapter.disk import replacing
from au_adapter.estimators import Estimator, open_estimator
from au_adapter.evaluation.evaluation_run import clip_encoder, estimator_of
from au_adapter.evaluation.protocols import load_protocol
from au_adapter.evaluation.records import Row
from au_adapter.facs import SET_A
from au_adapter.methods.base_generator import BaseGenerator
from au_adapter.methods.words_generator import WordsGenerator
from au_adapter.metrics import clip_i, picture_rmse
from au_adapter.training.drawing import drawing
from au_adapter.training.loop import Trainer
from au_adapter.training.recipes import ChosenRecipe, choose
from au_adapter.training.results import training_hours
from au_adapter.training.sources import find_faces
from au_adapter.training.validation import Case, draw_cases
from au_adapter.weights.tensors import weights_name

from .au_response import PROMPTS
from .paper_plan import CELLS, SIZES, Cell, Size
from .paper_report import write_report

RESULTS = Path(__file__).parent / "results"
WORK = Path(__file__).parents[1] / ".cache" / "benchmarks" / "paper_tables"
FIRST_SEED = 8001  # of the pictures; nothing was trained or chosen on them
SHEET_LEVEL = 4.0


@click.command()
@click.option("--size", type=click.Choice(tuple(SIZES)), required=True)
@click.option("--clip", type=click.Path(path_type=Path), help="A CLIP folder, for CLIP-I.")
@click.option(
    "--cell", "names", multiple=True, type=click.Choice([cell.name for cell in CELLS]),
    help="Only these cells.",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(0), help="Of the trainings; gives a report of its own.")
@click.option(
    "--base", type=click.Path(path_type=Path),
    help="A Stable Diffusion as a diffusers folder, for a report of its own; default: bundled.",
)  # fmt: skip
@click.option("--estimator", help="Default: the bundled model's regressor, else mesh.")
def main(
    size: str,
    clip: Path | None,
    names: tuple[str, ...],
    seed: int | None,
    base: Path | None,
    estimator: str | None,
) -> None:
    """Make what is not made yet, then write results/paper_tables_SIZE.{json,md} and pictures."""
    chosen, name = SIZES[size], size
    if seed is not None:
        chosen, name = replace(chosen, seeds=(seed,)), f"{size}_seed{seed}"
    if base is not None:
        name += f"_{base_name(base)}"
    reader = estimator_of(estimator, bundled=base is None)
    run(chosen, WORK / name, RESULTS, f"paper_tables_{name}", base, clip, names, reader)


def run(
    size: Size,
    work: Path,
    results: Path,
    name: str,
    base: Path | None = None,
    clip: Path | None = None,
    names: Sequence[str] = (),
    reader: Estimator | None = None,
) -> Path:
    """All cells of a size on a base, and the report of those that are done; the report's file."""
    base = base or demo_folder()
    plain_base = load_base(base)
    networks = (plain_base.unet, plain_base.text_encoder, plain_base.vae)
    faces = find_faces(size.data, work)
    # Cells of other weights and of other faces do not mix.
    work /= f"{weights_name(*networks)}-{_shards_name(faces)}"
    reader = reader or open_estimator("demo")
    encode = clip_encoder(clip) if clip else None
    plain = _plain(plain_base, size)
    _make_untrained(work, size, plain_base, plain, reader, encode)
    chosen = [cell for cell in CELLS if not names or cell.name in names]
    for cell, seed in product(chosen, size.seeds):
        folder = work / cell.name.replace(" ", "_") / f"seed{seed}"
        done = folder / "cell.json"
        if not done.is_file():
            _write(done, make_cell(cell, seed, size, faces, base, folder, reader))
        found = _kept(done, cell, _choose(cell, seed, size, base), clip)
        pictures = torch.load(folder / "pictures.pt", weights_only=True).float() / 255
        if _compare(found["rows"], pictures, plain, encode):
            _write(done, found)
        click.echo(f"{cell.name}, seed {seed}: {found['hours']:.2f} hours")
    return write_report(name, work, results, CELLS, size)


def make_cell(
    cell: Cell, seed: int, size: Size, faces: Path, base: Path, folder: Path, reader: Estimator
) -> dict[str, Any]:
    """Train, draw, read: the rows of a cell, its time, and its pictures in the folder."""
    chosen = _choose(cell, seed, size, base)
    settings = chosen.settings
    torch.manual_seed(seed)
    recipe = chosen.open([faces])
    trainer = Trainer(recipe, settings, folder)
    trainer.run()
    if trainer.step < settings.steps:  # a signal ends a training as if it were done
        raise click.ClickException(
            f"{cell.name} stopped at step {trainer.step} of {settings.steps}: run this again"
        )
    hours, begun = training_hours(folder), time.monotonic()
    cases = _cases(size)
    with torch.no_grad():
        generator = recipe.generator(trainer.trained().eval(), size.sampling)
        pictures = draw_cases(generator, cases, recipe.units)
    torch.save((pictures * 255).round().byte(), folder / "pictures.pt")
    _sheet(pictures, cases, folder / "sheet.png")
    return {
        "cell": cell.name,
        "seed": seed,
        "settings": _settings(chosen),
        "training_hours": hours,
        "hours": hours + (time.monotonic() - begun) / 3600,
        "estimator": reader.name,
        "rows": _rows(cases, _readings(reader, pictures)),
    }


def _choose(cell: Cell, seed: int, size: Size, base: Path) -> ChosenRecipe:
    changes = size.training | cell.settings | {"seed": seed, "base": base}
    if cell.recipe == "dreambooth":
        changes["prior_count"] = 8 * changes["batch_size"] if size.ranks else 2
    return choose(cell.recipe, changes)


def _settings(chosen: ChosenRecipe) -> dict[str, Any]:
    """Of the loop, and those of the recipe that a cell names."""
    named = {name: value for name, value in chosen.given.items() if name != "base"}
    return asdict(chosen.settings) | named


def _kept(done: Path, cell: Cell, chosen: ChosenRecipe, clip: Path | None) -> dict[str, Any]:
    """What was found for a cell earlier, without what another CLIP said; an error where it was
    trained in another way."""
    found = json.loads(done.read_text(encoding="utf-8"))
    if found["settings"] != _settings(chosen):
        raise click.ClickException(
            f"{done.parent} is of other settings of {cell.name}: delete that folder, and run this "
            "again"
        )
    # Earlier cells hold CLIP-I to the base under the name of CLIP-I to the neutral picture.
    older = "clip_i" in found["rows"][0] and "clip_i_base" not in found["rows"][0]
    if clip is not None and (found.get("clip") != clip.name or older):
        found["clip"] = clip.name
        for row in found["rows"]:
            row.pop("clip_i", None)
            row.pop("clip_i_base", None)
    return found


def _shards_name(folder: Path) -> str:
    """A few letters for the faces of a folder: the names and sizes of its shards."""
    shards = [(shard.name, shard.stat().st_size) for shard in find_shards(folder)]
    return hashlib.sha256(str(shards).encode()).hexdigest()[:6]


def _make_untrained(
    work: Path, size: Size, base: StableDiffusionPipeline, plain: Tensor, reader: Estimator,
    encode: Callable[[Tensor], Tensor] | None,
) -> None:  # fmt: skip
    """The rows of the base alone, and of the base that is told the AUs in words."""
    cases = _cases(size)
    for name, pictures in (("base", plain), ("text", _draw(base, size, cases, WordsGenerator))):
        rows = _rows(cases, _readings(reader, pictures))
        _compare(rows, pictures, plain, encode)
        _write(work / f"{name}.json", {"rows": rows})


def _cases(size: Size) -> list[Case]:
    """For each prompt: no AU, each AU alone at each level, the combinations."""
    protocol = load_protocol("fineface")
    wanted = [
        {unit: value for unit, value in row.requested.items() if int(unit) in size.units}
        for row in protocol.rows
        if row.group == "combination" and row.prompt == protocol.rows[0].prompt
    ]
    together = [row for row in wanted if len(row) > 1]
    single = [{str(unit): level} for unit in size.units for level in size.levels]
    requests = [{}, *single, *together[: size.combinations]]
    prompts = PROMPTS.splitlines()[: size.prompts]
    return [
        Case(prompt, FIRST_SEED + number, requested)
        for number, prompt in enumerate(prompts)
        for requested in requests
    ]


def _plain(base: StableDiffusionPipeline, size: Size) -> Tensor:
    """What the base alone draws of each case: the same picture for every request of a prompt."""
    cases = [case for case in _cases(size) if not case.requested]
    drawn = _draw(base, size, cases)
    return drawn.repeat_interleave(len(_cases(size)) // len(cases), dim=0)


def _draw(
    base: StableDiffusionPipeline,
    size: Size,
    cases: list[Case],
    kind: type[BaseGenerator] = BaseGenerator,
) -> Tensor:
    """Pictures of cases by the base as it is; kind: how it hears of the AUs."""
    return draw_cases(drawing(base, kind=kind, steps=size.sampling), cases, SET_A)


def _readings(reader: Estimator, pictures: Tensor) -> list[dict[str, float]]:
    """AU -> intensity of each picture, by its surest face; a picture without one shows no AU."""
    found = [dict.fromkeys(map(str, SET_A), 0.0) for _ in pictures]
    for reading in sorted(reader.estimate(pictures), key=lambda reading: reading.confidence):
        values = [round(value, 3) for value in reading.aus.values[0].tolist()]
        found[reading.image] = dict(zip(map(str, reading.aus.units), values, strict=True))
    return found


def _rows(cases: Sequence[Case], measured: Sequence[dict[str, float]]) -> list[dict[str, Any]]:
    """The rows of a cell's file, as `Row.from_answer` reads them."""
    rows = (
        Row(
            "",
            "",
            dict(case.requested),
            case.seed,
            prompt=case.prompt,
            method="adapter",
            measured=m,
        )
        for case, m in zip(cases, measured, strict=True)
    )
    return [row.answer() for row in rows]


def _compare(
    rows: list[dict], pictures: Tensor, plain: Tensor, encode: Callable[[Tensor], Tensor] | None
) -> bool:
    """Add to rows how far each picture is from the base's: RMSE 0..1 and, by a CLIP, CLIP-I to the
    cell's own picture without AUs and to the base's. Whether anything was missing."""
    measures = {"picture_rmse": lambda: picture_rmse(pictures, plain)}
    if encode is not None:
        measures["clip_i"] = lambda: clip_i(pictures, pictures[_neutral(rows)], encode)
        measures["clip_i_base"] = lambda: clip_i(pictures, plain, encode)
    missing = [name for name in measures if name not in rows[0]]
    for name in missing:
        with torch.no_grad():
            values = measures[name]()
        for row, value in zip(rows, values.tolist(), strict=True):
            row[name] = round(value, 4)
    return bool(missing)


def _neutral(rows: list[dict]) -> list[int]:
    """For each row, the place of the one of the same prompt that asks for no AU."""
    places = {row["prompt"]: n for n, row in enumerate(rows) if not row["requested"]}
    return [places[row["prompt"]] for row in rows]


def _sheet(pictures: Tensor, cases: Sequence[Case], path: Path) -> None:
    """The first prompt: no AU, each AU alone at about SHEET_LEVEL, the combinations."""
    first = [n for n, case in enumerate(cases) if case.prompt == cases[0].prompt]
    levels = {v for n in first if len(cases[n].requested) == 1 for v in cases[n].requested.values()}
    level = min(levels, key=lambda value: abs(value - SHEET_LEVEL))
    shown = [
        n for n in first if len(cases[n].requested) != 1 or level in cases[n].requested.values()
    ]
    save_image(pictures[shown].movedim(-1, 1), path, nrow=13, padding=1)


def _write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        partial.write_text(json.dumps(content), encoding="utf-8")


if __name__ == "__main__":
    main()
