"""What `paper_tables` found, as Markdown, JSON and a plot, with the paper's numbers beside it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

from au_adapter.evaluation.records import Row
from au_adapter.evaluation.response import full_error, prompted_error
from au_adapter.metrics import linearity

from .paper_plan import Cell, Size

# arXiv 2407.20175, Tables 1 to 3: AU MSE and CLIP-I of single AUs, then of combinations.
PUBLISHED = {
    "base with AU text": (6.98, 0.80, 8.90, 0.71),
    "FineFace": (4.71, 0.92, 7.54, 0.83),
    "LoRA-T": (7.45, 0.91, 9.06, 0.86),
    "LoRA-AU": (6.82, 0.98, 8.74, 0.91),
    "DreamBooth": (7.19, 0.87, 8.78, 0.80),
    "encoder none": (4.72, 0.94, 7.64, 0.86),
    "encoder mlp": (4.79, 0.86, 7.60, 0.76),
    "encoder res_mlp": (4.77, 0.84, 7.61, 0.74),
    "encoder res_3mlp": (4.97, 0.91, 7.70, 0.83),
    "encoder individual": (5.48, 0.85, 7.97, 0.70),
    "encoder individual summed": (5.48, 0.85, 7.97, 0.70),
    "without smoothing": (4.81, 0.81, 7.64, 0.72),
}
TITLES = {
    1: "Table 1: methods",
    2: "Table 2: AU encoders (FineFace is res_mlp64; individual has K + 1 tokens, or their sum as "
    "one: the supplement can be read either way, and its table has one row)",
    3: "Table 3: smoothing of the labels (FineFace is as released)",
}
NOTES = Path(__file__).parent / "notes"  # what people say of a result, by its name
UNTRAINED = {"base alone": "base.json", "base with AU text": "text.json"}
# With the base's picture of the same prompt and seed, but clip_i with the cell's own without AUs.
COMPARED = ("picture_rmse", "clip_i", "clip_i_base")


def write_report(name: str, work: Path, results: Path, cells: Sequence[Cell], size: Size) -> Path:
    """Write NAME.md, .json, .jpg (the plot) and a sheet of each cell; the Markdown's path."""
    done = {cell.name: _seeds(work, cell.name) for cell in cells}
    done = {cell: found for cell, found in done.items() if found}
    rows = {cell: [measures(each["rows"]) for each in found] for cell, found in done.items()}
    for untrained, file in UNTRAINED.items():
        rows[untrained] = [measures(json.loads((work / file).read_text(encoding="utf-8"))["rows"])]
    hours = {cell: sum(each["hours"] for each in found) for cell, found in done.items()}
    results.mkdir(parents=True, exist_ok=True)
    lines = [*_head(name, size, done, hours), *_tables(cells, rows, hours), *_linearity(rows)]
    lines += _order(rows) if size.ranks else ["", "Too small to rank anything by."]
    if (note := NOTES / f"{name}.md").is_file():
        lines += ["", note.read_text(encoding="utf-8").strip()]
    path = results / f"{name}.md"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    content = {"schema": 1, "cells": rows, "hours": hours, "published": PUBLISHED}
    (results / f"{name}.json").write_text(json.dumps(content, indent=1), encoding="utf-8")
    _plot(rows, results / f"{name}.png")
    _sheets(work, results / name, done)
    return path


def measures(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The numbers of one cell and seed: errors over the AUs asked for and over all, the distance to
    the base's picture, CLIP-I where it was measured, and Spearman and R2 of each AU."""
    typed = [Row.from_answer(row) for row in rows]
    groups = {
        "single": [row for row in typed if len(row.requested) == 1],
        "combined": [row for row in typed if len(row.requested) > 1],
    }
    found: dict[str, Any] = {}
    for group, chosen in groups.items():
        found[group] = prompted_error(chosen, "adapter")
        found[f"{group}_all"] = full_error(chosen, "adapter")
        for measure in COMPARED:
            values = [row.metrics[measure] for row in chosen if measure in (row.metrics or {})]
            found[f"{measure}_{group}"] = float(np.mean(values)) if values else None
    neutral = [row for row in typed if not row.requested]
    units = sorted({unit for row in groups["single"] for unit in row.requested}, key=int)
    found["linearity"] = {unit: _line(unit, neutral, groups["single"]) for unit in units}
    return found


def _line(unit: str, neutral: list[Row], single: list[Row]) -> tuple[float, float]:
    """Spearman and R2 of asked against measured, from the face without AUs on."""
    pairs = [(0.0, row.measured[unit]) for row in neutral]
    pairs += [(r.requested[unit], r.measured[unit]) for r in single if unit in r.requested]
    line = linearity(*torch.tensor(pairs).T)
    return round(line.spearman, 3), round(line.r2, 3)


def _seeds(work: Path, cell: str) -> list[dict[str, Any]]:
    files = sorted((work / cell.replace(" ", "_")).glob("seed*/cell.json"))
    return [json.loads(file.read_text(encoding="utf-8")) for file in files]


def _head(name: str, size: Size, done: dict, hours: dict[str, float]) -> list[str]:
    settings = ", ".join(f"{key} {value}" for key, value in size.training.items())
    reader = next((f[0]["estimator"] for f in done.values()), "nobody yet")
    return [
        "# FineFace's tables on rendered faces and the bundled base",
        "",
        f"`{_command(name)}`: {settings}; faces: {size.data}; {size.prompts} prompts, "
        f"{len(size.units)} AUs at {len(size.levels)} levels, "
        f"{size.combinations} combinations. "
        f"{sum(hours.values()):.1f} hours in all. Reader: {reader}.",
        "",
        "AU error: mean squared, over the AUs asked for (all 12 in brackets), intensities 0 to 5. "
        "The paper's numbers are of Stable Diffusion 2.1, photographs and LibreFace: compare the "
        "order, not the size. Distance: RMSE (0..1) to the base's picture of the same prompt and "
        "seed. CLIP-I: likeness, by a CLIP, to the method's own picture without AUs. Both are best "
        "moderate: where nothing changed, the distance is near 0 and CLIP-I near 1.",
    ]


def _command(name: str) -> str:
    """What makes the report of that name: paper_tables_SIZE or paper_tables_SIZE_seedN."""
    size, _, seed = name.removeprefix("paper_tables_").partition("_seed")
    return f"python -m benchmarks.paper_tables --size {size}{f' --seed {seed}' if seed else ''}"


def _tables(cells: Sequence[Cell], rows: dict, hours: dict[str, float]) -> list[str]:
    lines: list[str] = []
    for number, title in TITLES.items():
        chosen = [cell.name for cell in cells if number in cell.tables and cell.name in rows]
        lines += [
            "",
            f"## {title}",
            "",
            "| | AU error, single | combined | distance, single | combined | CLIP-I, single "
            "| combined | paper: AU MSE, CLIP-I single | combined | seeds | hours |",
            "|" + "---|" * 11,
            *(_row(cell, rows[cell], hours.get(cell)) for cell in (*chosen, *UNTRAINED)),
        ]
    return lines


def _row(cell: str, seeds: list[dict], hours: float | None) -> str:
    paper = PUBLISHED.get(cell)
    cells = [
        cell,
        f"{_mean(seeds, 'single')} ({_mean(seeds, 'single_all')})",
        f"{_mean(seeds, 'combined')} ({_mean(seeds, 'combined_all')})",
        *(_mean(seeds, f"{name}_{group}") for name in COMPARED for group in ("single", "combined")),
        f"{paper[0]:.2f}, {paper[1]:.2f}" if paper else "",
        f"{paper[2]:.2f}, {paper[3]:.2f}" if paper else "",
        f"{len(seeds)}" if hours is not None else "",
        f"{hours:.2f}" if hours is not None else "",
    ]
    return "| " + " | ".join(cells) + " |"


def _mean(seeds: list[dict], measure: str) -> str:
    """The mean over seeds, with its spread where there are several."""
    values = [seed[measure] for seed in seeds if seed[measure] is not None]
    if not values:
        return "-"
    spread = f" +- {np.std(values):.2f}" if len(values) > 1 else ""
    return f"{np.mean(values):.2f}{spread}"


def _linearity(rows: dict[str, list[dict]]) -> list[str]:
    units = sorted({u for seeds in rows.values() for u in seeds[0]["linearity"]}, key=int)
    lines = [
        "",
        "## How straight the sliders work: Spearman / R2 of asked and measured",
        "",
        "| | mean | " + " | ".join(f"AU{unit}" for unit in units) + " |",
        "|" + "---|" * (len(units) + 2),
    ]
    for cell, seeds in rows.items():
        pairs = np.array([[seed["linearity"][unit] for unit in units] for seed in seeds]).mean(0)
        shown = [f"{rank:.2f} / {r2:.2f}" for rank, r2 in (pairs.mean(0), *pairs)]
        lines.append(f"| {cell} | " + " | ".join(shown) + " |")
    return lines


def _order(rows: dict[str, list[dict]]) -> list[str]:
    """Where our order of methods is not the paper's."""
    known = [cell for cell in PUBLISHED if cell in rows]
    ours = {c: float(np.mean([seed["single"] for seed in rows[c]])) for c in known}
    pairs = [(a, b) for a in known for b in known if PUBLISHED[a][0] < PUBLISHED[b][0]]
    other = [f"{a} before {b} (by {ours[a] - ours[b]:.2f})" for a, b in pairs if ours[a] > ours[b]]
    if not pairs:
        return ["", "## Order", "", "One method is done: there is no order yet."]
    said = "; ".join(other) or "none"
    spreads = [np.std([seed["single"] for seed in rows[c]]) for c in known if len(rows[c]) > 1]
    spread = (
        f"The same training from other seeds differs by a standard deviation of up to "
        f"{max(spreads):.2f}: what is below it ranks nothing."
        if spreads
        else "Every training had one seed: how far another would be is not known."
    )
    return [
        "",
        "## Order",
        "",
        f"Of {len(pairs)} pairs that the paper orders by the error of single AUs, ours has "
        f"{len(pairs) - len(other)} in the same order. The paper's order that is not ours, and by "
        f"how much: {said}. {spread}",
    ]


def _plot(rows: dict[str, list[dict]], path: Path) -> None:
    """Error of each cell, single AUs and combinations, with the spread over seeds."""
    figure = Figure(figsize=(8, 5), dpi=110, layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(rows))
    for offset, (measure, title) in enumerate((("single", "single AUs"), ("combined", "combined"))):
        values = [[seed[measure] for seed in seeds] for seeds in rows.values()]
        axes.barh(
            places + 0.4 * offset, [np.mean(v) for v in values], 0.38,
            xerr=[np.std(v) for v in values], label=title,
        )  # fmt: skip
    axes.set_yticks(places + 0.2, list(rows))
    axes.invert_yaxis()
    axes.set_xlabel("AU error over the AUs asked for (mean squared, intensities 0 to 5)")
    axes.legend()
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)


def _sheets(work: Path, folder: Path, done: dict[str, list[dict]]) -> None:
    folder.mkdir(exist_ok=True)
    for cell, found in done.items():
        place = cell.replace(" ", "_")
        sheet = work / place / f"seed{found[0]['seed']}" / "sheet.png"
        shutil.copyfile(sheet, folder / f"{place}.png")
