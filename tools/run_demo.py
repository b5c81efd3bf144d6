"""`make demo`: a real ComfyUI draws and edits faces by AUs, and a regressor reads them back."""

from __future__ import annotations

import json
import logging
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
import torch
from PIL import Image

from au_adapter.bundled import MAGICFACE, demo_folder, magicface_folder
from au_adapter.estimators.bundled_regressor import ESTIMATOR, load_regressor, read_files
from au_adapter.evaluation.contact_sheet import contact_sheet, picture_strip
from au_adapter.evaluation.response import full_error, prompted_error, response_curve, spearman
from au_adapter.faces.locate import MODEL_FOLDER
from au_adapter.facs import SET_A, UNITS, AUVector
from tools import face_files
from tools.server import ComfyServer

from .demo_edits import Edits, can_edit, draw_edits, measure_edits, report_edits
from .demo_graphs import SWEEP_LEVELS, Graph, face_graph, sweep_graph

ROOT = Path(__file__).parents[1]
OUTPUT = ROOT / "demo"
PROMPT = (
    "a portrait of a young woman with light skin and short brown hair, wearing a green sweater, "
    "blue background"
)
SEED = 12
COMBINATION_PROMPT = (
    "a photo of a man with tan skin and short black hair, in a white shirt, park background"
)
COMBINATION_SEED = 12
# The six combinations of FineFace's Fig. 5; it does not give intensities, ours are 3 = marked.
COMBINATIONS = (
    "6C+12C+25C",
    "4C+15C+17C",
    "1C+2C+5C+25C+26C",
    "4C+6C+17C+20C",
    "1C+2C+4C+9C",
    "4C+25C+26C",
)


@dataclass(frozen=True)
class Job:
    """One graph and its pictures: a row of report.json for each, without file and reading."""

    graph: Graph
    rows: list[dict]


def main(output: Path = OUTPUT) -> None:
    """Draw, read and report."""
    started = time.monotonic()
    click.echo("Starting ComfyUI ...")
    with _server() as server:
        rows = draw(jobs(), output, server)
        edits = _edits(output, server)
        if edits:
            measure_edits(edits, [server.base / "models" / MODEL_FOLDER])
            report_edits(edits, output)
    measure(rows)
    without = shared_baselines(rows)
    report(rows + without, output)
    sheets = [output / f"{name}.png" for name in ("grid", "combinations", *["edits"][: len(edits)])]
    click.echo(
        f"Done in {time.monotonic() - started:.0f} s. Open {_listed(sheets)}; "
        f"the numbers are in {output / 'report.md'}."
    )


def jobs() -> list[Job]:
    """The grid of 12 AUs, the combinations, and both prompts without adapter."""
    found = []
    for unit in SET_A:
        rows = [_row("adapter", PROMPT, SEED, {str(unit): level}) for level in SWEEP_LEVELS]
        found.append(Job(sweep_graph(unit, PROMPT, SEED, f"AU{unit}"), rows))
    for notation in COMBINATIONS:
        row = _row("adapter", COMBINATION_PROMPT, COMBINATION_SEED, AUVector.parse(notation).dict())
        found.append(
            Job(
                face_graph(
                    notation, COMBINATION_PROMPT, COMBINATION_SEED, notation.replace("+", "_")
                ),
                [row],
            )
        )
    both = ("grid", PROMPT, SEED), ("combinations", COMBINATION_PROMPT, COMBINATION_SEED)
    for name, prompt, seed in both:
        graph = face_graph("", prompt, seed, f"without_{name}", strength=0.0)
        found.append(Job(graph, [_row("none", prompt, seed, {})]))
    return found


def _edits(output: Path, server: ComfyServer) -> list[Edits]:
    if not can_edit():
        click.echo(f"No edits of photos: {magicface_folder() / MAGICFACE} is missing.")
        return []
    click.echo("Editing photos ...")
    return draw_edits(server, output)


def _listed(paths: list[Path]) -> str:
    *first, last = map(str, paths)
    return f"{', '.join(first)} and {last}"


def draw(work: list[Job], output: Path, server: ComfyServer) -> list[dict]:
    """Post every graph to a ComfyUI server and save the pictures; the rows now name their files."""
    pictures = output / "pictures"
    shutil.rmtree(pictures, ignore_errors=True)
    pictures.mkdir(parents=True)
    with click.progressbar(work, label="Drawing faces", file=sys.stderr) as bar:
        for job in bar:
            drawn = server.run(job.graph)
            for number, (row, picture) in enumerate(zip(job.rows, drawn, strict=True)):
                name = next(
                    n["inputs"]["filename_prefix"]
                    for n in job.graph.values()
                    if n["class_type"] == "SaveImage"
                )
                row["file"] = f"pictures/{name}_{number}.png"
                picture.save(output / row["file"])
                row["_path"] = output / row["file"]
    return [row for job in work for row in job.rows]


def measure(rows: list[dict]) -> None:
    """Fill each row's measured AUs."""
    regressor = load_regressor(demo_folder() / "regressor.safetensors")
    with torch.inference_mode():
        readings = read_files(regressor, [row["_path"] for row in rows])
    for row, reading in zip(rows, readings, strict=True):
        row["measured"] = reading


def shared_baselines(rows: list[dict]) -> list[dict]:
    """Take the pictures without adapter out of rows; return one for each picture with it.

    It is that of the same prompt and seed, as if asked for the same AUs.
    """
    plain = {(row["prompt"], row["seed"]): row for row in rows if row["method"] == "none"}
    rows[:] = [row for row in rows if row["method"] == "adapter"]
    return [{**plain[row["prompt"], row["seed"]], "requested": row["requested"]} for row in rows]


def report(rows: list[dict], output: Path) -> None:
    """Write grid.png, combinations.png, faces.png, report.json and report.md."""
    _grid(rows).save(output / "grid.png")
    _combinations(rows).save(output / "combinations.png")
    _strip(rows).save(output / "faces.png")
    public = [{k: v for k, v in row.items() if k != "_path"} for row in rows]
    content = {"schema": 1, "estimator": ESTIMATOR, "rows": public}
    (output / "report.json").write_text(json.dumps(content, indent=1), encoding="utf-8")
    (output / "report.md").write_text(table(rows), encoding="utf-8")


def table(rows: list[dict]) -> str:
    """Requested against measured, one line an AU, as Markdown."""
    lines = [
        "# Requested against measured",
        "",
        f"Read by the {ESTIMATOR}. One prompt, one seed, each AU alone: {PROMPT!r}, seed {SEED}.",
        "",
        "| AU | "
        + " | ".join(f"{level:g}" for level in SWEEP_LEVELS)
        + " | without adapter | Spearman |",
        "|" + "---|" * (len(SWEEP_LEVELS) + 3),
    ]
    none = (row for row in rows if row["method"] == "none" and row["prompt"] == PROMPT)
    plain = next(none)["measured"]
    for unit in map(str, SET_A):
        curve = response_curve(rows, unit)
        cells = " | ".join(f"{value:.1f}" for value in curve.values())
        lines.append(
            f"| {_title(int(unit))} | {cells} | {plain[unit]:.1f} | {spearman(curve):.2f} |"
        )
    lines += [
        "",
        "| Mean squared error | with adapter | without |",
        "|---|---|---|",
        _error_line("the AUs asked for", prompted_error, rows),
        _error_line("all 12 AUs", full_error, rows),
        "",
    ]
    return "\n".join(lines)


def _error_line(label: str, error: Callable[[list[dict], str], float], rows: list[dict]) -> str:
    return f"| over {label} | {error(rows, 'adapter'):.2f} | {error(rows, 'none'):.2f} |"


def _grid(rows: list[dict]) -> Image.Image:
    lines = []
    for unit in map(str, SET_A):
        cells = [
            row for row in rows if row["method"] == "adapter" and list(row["requested"]) == [unit]
        ]
        lines.append(
            (
                _title(int(unit)).replace(" ", "\n", 1).replace(" and", "\nand"),
                [_open(row) for row in cells],
            )
        )
    return contact_sheet(
        lines, [f"{level:g}" for level in SWEEP_LEVELS], f'"{PROMPT}", seed {SEED}'
    )


def _combinations(rows: list[dict]) -> Image.Image:
    asked = [row for row in rows if row["prompt"] == COMBINATION_PROMPT]
    lines = [
        (label, [_open(row) for row in asked if row["method"] == method])
        for label, method in (("with AU-Adapter", "adapter"), ("without", "none"))
    ]
    return contact_sheet(
        lines, list(COMBINATIONS), f'"{COMBINATION_PROMPT}", seed {COMBINATION_SEED}'
    )


def _strip(rows: list[dict]) -> Image.Image:
    """Each AU at its strongest, in two lines, without much text: for the README."""
    cells = [
        (f"AU{unit}", _open(row))
        for row in rows
        if row["method"] == "adapter" and row["prompt"] == PROMPT
        for unit, level in row["requested"].items()
        if level == max(SWEEP_LEVELS)
    ]
    half = len(cells) // 2
    return picture_strip([cells[:half], cells[half:]])


def _row(method: str, prompt: str, seed: int, requested: dict[str, float]) -> dict:
    return {
        "file": "",
        "method": method,
        "prompt": prompt,
        "seed": seed,
        "requested": requested,
        "measured": {},
    }


def _title(unit: int) -> str:
    return f"AU{unit} {UNITS[unit].name.lower()}"


def _open(row: dict) -> Image.Image:
    return Image.open(row["_path"]).convert("RGB")


def _server() -> ComfyServer:
    """A server with the models that find faces."""
    server = ComfyServer()
    face_files.lend(server.base)
    return server


@click.command()
@click.option("--output", type=click.Path(path_type=Path), default=OUTPUT)
def command(output: Path) -> None:
    """Draw, read and report; errors that a person can mend end in one sentence."""
    logging.basicConfig(format="%(message)s")
    try:
        main(output)
    except (ValueError, OSError, RuntimeError) as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    command()
