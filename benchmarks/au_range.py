"""What AUs from -10 to 10 do on the bundled model: pictures for docs/, and what its reader sees.

FineFace's authors found values from -10 to 10 to work (arXiv 2407.20175, section 4); this shows it
for the model in the box, at the workflow's guidance and with that of the AUs apart and lower.
`python -m benchmarks au_range` makes both files again.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import click
import torch
from PIL import Image

from au_adapter.bundled import demo_folder
from au_adapter.estimators.bundled_regressor import ESTIMATOR, load_regressor, read_files
from au_adapter.evaluation.contact_sheet import contact_sheet
from au_adapter.facs import UNITS
from tools.demo_graphs import Graph, node_of, sweep_graph
from tools.run_demo import PROMPT, SEED
from tools.server import ROOT, ComfyServer

SHEET = ROOT / "docs" / "au_range.jpg"
RESULT = Path(__file__).parent / "results" / "au_range.md"
SHOWN = (1, 4, 5, 12, 26)
LEVELS = (-10.0, -7.5, -5.0, -2.5, 0.0, 2.5, 5.0, 7.5, 10.0)
AU_CFG = 3.0  # with the guidance apart; the prompt's stays
SIDE = 80  # pixels of a face on the sheet
Row = tuple[int, float | None]  # an AU, and AU Guider's scale or None for KSampler's
ROWS: tuple[Row, ...] = tuple((unit, au_cfg) for unit in SHOWN for au_cfg in (None, AU_CFG))


def main() -> None:
    """Write docs/au_range.jpg and benchmarks/results/au_range.md."""
    with tempfile.TemporaryDirectory() as base, ComfyServer(base=base) as server:
        rows = {row: server.run(range_graph(*row)) for row in ROWS}
    sheet(rows).save(SHEET, quality=80, optimize=True)
    text = table({row: read(pictures) for row, pictures in rows.items()})
    RESULT.write_text(text, encoding="utf-8")
    click.echo(f"{text}\n{SHEET.relative_to(ROOT)}\n{RESULT.relative_to(ROOT)}")


def range_graph(unit: int, au_cfg: float | None) -> Graph:
    """au_sweep with one unit at LEVELS, and AU Guider in place of KSampler if a scale is given."""
    graph = sweep_graph(unit, PROMPT, SEED, f"AU{unit}")
    node_of(graph, "AUA_AUSweep").update(start=LEVELS[0], stop=LEVELS[-1], steps=len(LEVELS))
    node_of(graph, "EmptyLatentImage")["batch_size"] = len(LEVELS)
    return graph if au_cfg is None else guided(graph, au_cfg)


def guided(graph: Graph, au_cfg: float) -> Graph:
    """The graph with the AUs guided apart from the prompt, all else as in its KSampler."""
    key = next(key for key, node in graph.items() if node["class_type"] == "KSampler")
    settings = graph[key]["inputs"]
    wires = {name: settings[name] for name in ("model", "positive", "negative")}
    scales = {"text_cfg": settings["cfg"], "au_cfg": au_cfg}
    schedule = {name: settings[name] for name in ("model", "scheduler", "steps", "denoise")}
    parts = {
        "noise": ("RandomNoise", {"noise_seed": settings["seed"]}),
        "guider": ("AUA_AUGuider", {**wires, **scales}),
        "sampler": ("KSamplerSelect", {"sampler_name": settings["sampler_name"]}),
        "sigmas": ("BasicScheduler", schedule),
    }
    sampler = {"latent_image": settings["latent_image"], **{name: [name, 0] for name in parts}}
    nodes = {**parts, key: ("SamplerCustomAdvanced", sampler)}
    changed = {name: {"class_type": k, "inputs": inputs} for name, (k, inputs) in nodes.items()}
    return {**graph, **changed}


def sheet(rows: dict[Row, list[Image.Image]]) -> Image.Image:
    """Rows from top to bottom, levels from left to right."""
    lines = [
        (
            title(row).replace(", ", "\n"),
            [picture.convert("RGB").resize((SIDE, SIDE), Image.LANCZOS) for picture in pictures],
        )
        for row, pictures in rows.items()
    ]
    return contact_sheet(lines, [f"{level:g}" for level in LEVELS], f'"{PROMPT}", seed {SEED}')


def title(row: Row) -> str:
    """An AU and how it was guided."""
    unit, au_cfg = row
    guidance = "KSampler" if au_cfg is None else f"AU CFG {au_cfg:g}"
    return f"AU{unit} {UNITS[unit].name.lower()}, {guidance}"


def read(pictures: list[Image.Image]) -> list[dict[str, float]]:
    """What the bundled regressor reads in pictures."""
    regressor = load_regressor(demo_folder() / "regressor.safetensors")
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        paths = [Path(folder) / f"{index}.png" for index in range(len(pictures))]
        for path, picture in zip(paths, pictures, strict=True):
            picture.save(path)
        return read_files(regressor, paths)


def table(readings: dict[Row, list[dict[str, float]]]) -> str:
    """Requested against measured, one line a row, as Markdown."""
    cfg = node_of(range_graph(SHOWN[0], None), "KSampler")["cfg"]
    lines = [
        "# AUs beyond their range",
        "",
        f"Requested from -10 to 10, read by the {ESTIMATOR}, which knows 0..5 alone: beyond that "
        f"look at the pictures, [docs/au_range.jpg](../../docs/au_range.jpg). {PROMPT!r}, seed "
        f"{SEED}; prompt and AUs at CFG {cfg:g} in KSampler, or the AUs at {AU_CFG:g} by AU "
        "Guider.",
        "",
        "| AU | " + " | ".join(f"{level:g}" for level in LEVELS) + " |",
        "|" + "---|" * (len(LEVELS) + 1),
    ]
    for row, found in readings.items():
        cells = " | ".join(f"{reading[str(row[0])]:.1f}" for reading in found)
        lines.append(f"| {title(row)} | {cells} |")
    return "\n".join([*lines, ""])
