"""What AUs from -10 to 10 do on the bundled model: pictures for docs/, and what its reader sees.

FineFace's authors found values from -10 to 10 to work (arXiv 2407.20175, section 4); this shows it
for the model in the box. `python -m benchmarks au_range` makes both files again.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import click
import torch
from PIL import Image

from au_adapter.demo import demo_folder
from au_adapter.demo.graphs import Graph, node_of, sweep_graph
from au_adapter.demo.run import PROMPT, SEED
from au_adapter.demo.sheets import contact_sheet
from au_adapter.evaluation.regressor import ESTIMATOR, load_regressor, read_files
from au_adapter.facs import UNITS
from tools.server import ROOT, ComfyServer

SHEET = ROOT / "docs" / "au_range.jpg"
RESULT = Path(__file__).parent / "results" / "au_range.md"
SHOWN = (1, 4, 5, 12, 26)
LEVELS = (-10.0, -7.5, -5.0, -2.5, 0.0, 2.5, 5.0, 7.5, 10.0)
SIDE = 96  # pixels of a face on the sheet


def main() -> None:
    """Write docs/au_range.jpg and benchmarks/results/au_range.md."""
    with tempfile.TemporaryDirectory() as base, ComfyServer(base=base) as server:
        rows = {unit: server.run(range_graph(unit)) for unit in SHOWN}
    sheet(rows).save(SHEET, quality=85, optimize=True)
    text = table({unit: read(pictures) for unit, pictures in rows.items()})
    RESULT.write_text(text, encoding="utf-8")
    click.echo(f"{text}\n{SHEET.relative_to(ROOT)}\n{RESULT.relative_to(ROOT)}")


def range_graph(unit: int) -> Graph:
    """au_sweep with one unit at LEVELS."""
    graph = sweep_graph(unit, PROMPT, SEED, f"AU{unit}")
    node_of(graph, "AUA_AUSweep").update(start=LEVELS[0], stop=LEVELS[-1], steps=len(LEVELS))
    node_of(graph, "EmptyLatentImage")["batch_size"] = len(LEVELS)
    return graph


def sheet(rows: dict[int, list[Image.Image]]) -> Image.Image:
    """Units from top to bottom, levels from left to right."""
    lines = [
        (
            f"AU{unit}\n{UNITS[unit].name.lower()}",
            [picture.convert("RGB").resize((SIDE, SIDE), Image.LANCZOS) for picture in pictures],
        )
        for unit, pictures in rows.items()
    ]
    return contact_sheet(lines, [f"{level:g}" for level in LEVELS], f'"{PROMPT}", seed {SEED}')


def read(pictures: list[Image.Image]) -> list[dict[str, float]]:
    """What the bundled regressor reads in pictures."""
    regressor = load_regressor(demo_folder() / "regressor.safetensors")
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        paths = [Path(folder) / f"{index}.png" for index in range(len(pictures))]
        for path, picture in zip(paths, pictures, strict=True):
            picture.save(path)
        return read_files(regressor, paths)


def table(readings: dict[int, list[dict[str, float]]]) -> str:
    """Requested against measured, one line an AU, as Markdown."""
    lines = [
        "# AUs beyond their range",
        "",
        f"Requested from -10 to 10, read by the {ESTIMATOR}, which knows 0..5 alone: beyond that "
        f"look at the pictures, [docs/au_range.jpg](../../docs/au_range.jpg). {PROMPT!r}, seed "
        f"{SEED}.",
        "",
        "| AU | " + " | ".join(f"{level:g}" for level in LEVELS) + " |",
        "|" + "---|" * (len(LEVELS) + 1),
    ]
    for unit, row in readings.items():
        cells = " | ".join(f"{reading[str(unit)]:.1f}" for reading in row)
        lines.append(f"| AU{unit} {UNITS[unit].name.lower()} | {cells} |")
    return "\n".join([*lines, ""])
