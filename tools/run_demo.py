"""`make demo`: a real ComfyUI draws and edits faces by AUs, and a regressor reads them back."""

from __future__ import annotations

import json
import logging
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import click
import torch
from PIL import Image

from au_adapter.bundled import (
    AUEDITNET,
    MAGICFACE,
    VQAUFACE,
    aueditnet_folder,
    demo_folder,
    magicface_folder,
    vqauface_folder,
)
from au_adapter.estimators.bundled_regressor import ESTIMATOR, load_regressor, read_files
from au_adapter.evaluation.contact_sheet import contact_sheet, labelled_sheet
from au_adapter.evaluation.records import Row
from au_adapter.evaluation.response import full_error, prompted_error, response_curve, spearman
from au_adapter.faces import FACE_LANDMARKER, locate
from au_adapter.faces.locate import MODEL_FOLDER
from au_adapter.facs import SET_A, UNITS, AUVector
from tools import face_files
from tools.server import ComfyServer

from .demo_aueditnet import can_invert, edit_codes
from .demo_edits import Edits, can_edit, draw_edits, measured_edits, report_edits
from .demo_graphs import SWEEP_LEVELS, Graph, face_graph, sweep_graph
from .demo_vqauface import can_draw, draw_texts

ROOT = Path(__file__).parents[1]
OUTPUT = ROOT / "demo"
PICTURES = "pictures"  # the folder of the drawn faces in the output
PROMPT = (
    "a portrait of a young woman with light skin and short brown hair, wearing a green sweater, "
    "blue background"
)
SEED = 16
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
    rows: list[Row]


def main(output: Path = OUTPUT) -> None:
    """Draw, read and report."""
    started = time.monotonic()
    click.echo("Starting ComfyUI ...")
    with _server() as server:
        rows = draw(jobs(), output, server)
        edits = _edits(output, server)
        if edits:
            folders = [server.base / "models" / MODEL_FOLDER]
            report_edits(measured_edits(edits, folders), output)
        others = _other_methods(output, server, edits)
    report(with_baselines(measured(rows, output)), output)
    names = ("grid", "combinations", *["edits"][: len(edits)])
    sheets = [*(output / f"{name}.png" for name in names), *others]
    click.echo(
        f"Done in {time.monotonic() - started:.0f} s. Open {_listed(sheets)}; "
        f"the numbers are in {output / 'report.md'}."
    )


def jobs() -> list[Job]:
    """The grid of 12 AUs, the combinations, and both prompts without adapter."""
    found = []
    for unit in SET_A:
        name = f"AU{unit}"
        requests = [{str(unit): level} for level in SWEEP_LEVELS]
        rows = [_row(name, n, "adapter", PROMPT, SEED, asked) for n, asked in enumerate(requests)]
        found.append(Job(sweep_graph(unit, PROMPT, SEED, name), rows))
    both = (COMBINATION_PROMPT, COMBINATION_SEED)
    for notation in COMBINATIONS:
        name, asked = notation.replace("+", "_"), AUVector.parse(notation).dict()
        graph = face_graph(notation, *both, name)
        found.append(Job(graph, [_row(name, 0, "adapter", *both, asked)]))
    for name, (prompt, seed) in (("grid", (PROMPT, SEED)), ("combinations", both)):
        name = f"without_{name}"
        graph = face_graph("", prompt, seed, name, strength=0.0)
        found.append(Job(graph, [_row(name, 0, "none", prompt, seed, {})]))
    return found


def _edits(output: Path, server: ComfyServer) -> list[Edits]:
    if not can_edit():
        click.echo(f"No edits: {magicface_folder() / MAGICFACE} is missing.")
        return []
    click.echo("Editing rendered people ...")
    return draw_edits(server, output)


def _other_methods(output: Path, server: ComfyServer, edits: list[Edits]) -> list[Path]:
    """Sheets of the same people by AUEditNet and VQ-AUFace, of those whose models are there."""
    photos, sheets = [one.source for one in edits], []
    if not photos:
        return sheets
    landmarker = locate(FACE_LANDMARKER, folders=[server.base / "models" / MODEL_FOLDER])
    if can_invert():
        click.echo("Editing their codes ...")
        sheets.append(edit_codes(photos, landmarker, output))
    else:
        click.echo(f"No sheet of AUEditNet: no {AUEDITNET} in {aueditnet_folder()}.")
    if can_draw():
        click.echo("Drawing faces from texts ...")
        sheets.append(draw_texts(photos, landmarker, output))
    else:
        click.echo(f"No sheet of VQ-AUFace: no {VQAUFACE} in {vqauface_folder()}.")
    return sheets


def _listed(paths: list[Path]) -> str:
    *first, last = map(str, paths)
    return f"{', '.join(first)} and {last}"


def draw(work: list[Job], output: Path, server: ComfyServer) -> list[Row]:
    """Post every graph to a ComfyUI server and save the pictures under the names in the rows."""
    shutil.rmtree(output / PICTURES, ignore_errors=True)
    (output / PICTURES).mkdir(parents=True)
    with click.progressbar(work, label="Drawing faces", file=sys.stderr) as bar:
        for job in bar:
            for row, picture in zip(job.rows, server.run(job.graph), strict=True):
                picture.save(output / row.target)
    return [row for job in work for row in job.rows]


def measured(rows: list[Row], output: Path) -> list[Row]:
    """The rows with what the regressor reads in their pictures."""
    regressor = load_regressor(demo_folder() / "regressor.safetensors")
    with torch.inference_mode():
        readings = read_files(regressor, [output / row.target for row in rows])
    return [replace(row, measured=seen) for row, seen in zip(rows, readings, strict=True)]


def with_baselines(rows: list[Row]) -> list[Row]:
    """The rows with adapter, then one without for each of them: the picture of the same prompt and
    seed, as if asked for the same AUs."""
    plain = {(row.prompt, row.seed): row for row in rows if row.method == "none"}
    ours = [row for row in rows if row.method == "adapter"]
    return ours + [replace(plain[r.prompt, r.seed], requested=r.requested) for r in ours]


def report(rows: list[Row], output: Path) -> None:
    """Write grid.png, combinations.png, faces.png, report.json and report.md."""
    sheets = {"grid": _grid, "combinations": _combinations, "faces": _strip}
    for name, sheet in sheets.items():
        sheet(rows, output).save(output / f"{name}.png")
    content = {"schema": 1, "estimator": ESTIMATOR, "rows": [row.answer() for row in rows]}
    (output / "report.json").write_text(json.dumps(content, indent=1), encoding="utf-8")
    (output / "report.md").write_text(table(rows), encoding="utf-8")


def table(rows: list[Row]) -> str:
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
    plain = next(row for row in rows if row.method == "none" and row.prompt == PROMPT).measured
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


def _error_line(label: str, error: Callable[[list[Row], str], float], rows: list[Row]) -> str:
    return f"| over {label} | {error(rows, 'adapter'):.2f} | {error(rows, 'none'):.2f} |"


def _grid(rows: list[Row], output: Path) -> Image.Image:
    lines = []
    for unit in map(str, SET_A):
        alone = [row for row in rows if row.method == "adapter" and list(row.requested) == [unit]]
        label = _title(int(unit)).replace(" ", "\n", 1).replace(" and", "\nand")
        lines.append((label, [_open(row, output) for row in alone]))
    levels = [f"{level:g}" for level in SWEEP_LEVELS]
    return contact_sheet(lines, levels, f'"{PROMPT}", seed {SEED}')


def _combinations(rows: list[Row], output: Path) -> Image.Image:
    asked = [row for row in rows if row.prompt == COMBINATION_PROMPT]
    lines = [
        (label, [_open(row, output) for row in asked if row.method == method])
        for label, method in (("with AU-Adapter", "adapter"), ("without", "none"))
    ]
    title = f'"{COMBINATION_PROMPT}", seed {COMBINATION_SEED}'
    return contact_sheet(lines, list(COMBINATIONS), title)


def _strip(rows: list[Row], output: Path) -> Image.Image:
    """Each AU at its strongest, in two lines, under short labels."""
    cells = [
        (f"AU{unit}", _open(row, output))
        for row in rows
        if row.method == "adapter" and row.prompt == PROMPT
        for unit, level in row.requested.items()
        if level == max(SWEEP_LEVELS)
    ]
    half = len(cells) // 2
    return labelled_sheet([cells[:half], cells[half:]])


def _row(
    name: str, number: int, method: str, prompt: str, seed: int, requested: dict[str, float]
) -> Row:
    """The row of a picture to draw: number `number` of the graph `name`."""
    target = f"{PICTURES}/{name}_{number}.png"
    return Row(target, "", requested, seed, prompt=prompt, target=target, method=method)


def _title(unit: int) -> str:
    return f"AU{unit} {UNITS[unit].name.lower()}"


def _open(row: Row, output: Path) -> Image.Image:
    return Image.open(output / row.target).convert("RGB")


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
