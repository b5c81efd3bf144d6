"""Reads the results of a run from its folder: the adapter to use, losses, hours, a report.

Imports neither torch nor anything else that training needs.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

from ..disk import damage_named
from .run_files import DESCRIPTION, read_description, read_rows


def find_result(folder: Path, validated: bool = True) -> Path:
    """The folder of the adapter to use: the best by validation, else the last.

    validated: False for always the last, whatever an earlier validation found best.
    FileNotFoundError where the run has saved none.
    """
    for name in ("best", "result") if validated else ("result",):
        if (folder / name / DESCRIPTION).is_file():
            return folder / name
    raise FileNotFoundError(f"{folder} holds no result of a training yet")


def read_losses(folder: Path) -> list[float]:
    """The mean losses in a run's log by step; of steps that were done twice, the later."""
    path = folder / "log.jsonl"
    with damage_named(path, "Delete it: the training goes on without it"):
        return [float(row["loss"]) for row in read_rows(path)]


def training_hours(folder: Path) -> float:
    """Hours up to the last logged step over all resumes, with validation; each step counts once."""
    rows = read_rows(folder / "log.jsonl")
    steps = pairwise((0, *(row["step"] for row in rows)))
    times = [row["seconds_per_step"] * (b - a) for row, (a, b) in zip(rows, steps, strict=True)]
    return sum(times) / 3600


def training_report(folder: Path, result: Path) -> str:
    """A run in Markdown: its faces, losses, validations and measured response."""
    losses, validations = read_losses(folder), read_rows(folder / "validation.jsonl")
    with damage_named(result / DESCRIPTION, f"Delete {result}"):
        described = read_description(result)
        parts = [[f"# {folder.name}, step {described['step']}"], []]
        for card in described.get("data", ()):
            dropped = [f"{s['dropped']} {s['step']}" for s in card["steps"] if s["dropped"]]
            left_out = f"; left out: {', '.join(dropped)}" if dropped else ""
            parts[1].append(f"{card['faces']} faces of {card['folder']}{left_out}.")
        if losses:
            tenth = max(1, len(losses) // 10)
            first, last = sum(losses[:tenth]) / tenth, sum(losses[-tenth:]) / tenth
            parts.append(
                [f"Loss {first:.4f} at first, {last:.4f} at last, a tenth of the run each."]
            )
        if validations:
            parts.append(["| Step | AU error, AUs asked for | all AUs | |", "|---|---|---|---|"])
            for row in validations:
                mark = "kept" if row["step"] == described["step"] else ""
                errors = f"{row['au_error']:.2f} | {row['full_error']:.2f}"
                parts[-1].append(f"| {row['step']} | {errors} | {mark} |")
        if "measures" in described:
            parts.append(_response(described["measures"]))
        return "\n\n".join("\n".join(part) for part in parts)


def _response(measures: dict[str, Any]) -> list[str]:
    curves = measures["response"]
    levels = sorted({level for curve in curves.values() for level in curve}, key=float)
    lines = [
        f"Measured intensity, by {measures['estimator']}:",
        "",
        "| AU | " + " | ".join(f"asked {level}" for level in levels) + " |",
        "|" + "---|" * (len(levels) + 1),
    ]
    for unit, curve in curves.items():
        cells = [f"{curve[level]:.2f}" if level in curve else "" for level in levels]
        lines.append(f"| {unit} | " + " | ".join(cells) + " |")
    if names := measures.get("not_measured"):
        lines += ["", f"Not measured: {', '.join(names)}."]
        if any(name.startswith("AU") for name in names):
            lines[-1] += (
                " The estimator mesh reads 22 AUs, once `au-adapter download face-landmarker` has "
                "fetched what it needs."
            )
    return lines
