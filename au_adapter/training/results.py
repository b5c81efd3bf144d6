"""What a run left in its folder, read by others: the adapter to take, its losses, a report.

Needs nothing that a training needs.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any


def find_result(folder: Path, judged: bool = True) -> Path:
    """The folder of the adapter to take: the best by the AUs of its faces, else the last.

    judged: off, always the last: a best from before the checks were turned off is left out.
    FileNotFoundError where the run has saved none.
    """
    for name in ("best", "result") if judged else ("result",):
        if (folder / name / "training.json").is_file():
            return folder / name
    raise FileNotFoundError(f"{folder} holds no result of a training yet")


def read_losses(folder: Path) -> list[float]:
    """The mean losses that a run noted, by step; of steps that were done twice, the later."""
    return [row["loss"] for row in _rows(folder / "log.jsonl")]


def training_hours(folder: Path) -> float:
    """What a run's steps took, over all its stops: up to the last that it noted, checks included,
    and those that were done twice once."""
    rows = _rows(folder / "log.jsonl")
    steps = pairwise((0, *(row["step"] for row in rows)))
    times = [row["seconds_per_step"] * (b - a) for row, (a, b) in zip(rows, steps, strict=True)]
    return sum(times) / 3600


def training_report(folder: Path, result: Path) -> str:
    """A run in Markdown: its faces, its losses, the checks on the way, the measured response."""
    described = json.loads((result / "training.json").read_text(encoding="utf-8"))
    losses, checks = read_losses(folder), _rows(folder / "validation.jsonl")
    parts = [[f"# {folder.name}, step {described['step']}"], _data(described.get("data", ()))]
    if losses:
        tenth = max(1, len(losses) // 10)
        first, last = sum(losses[:tenth]) / tenth, sum(losses[-tenth:]) / tenth
        parts.append([f"Loss {first:.4f} at first, {last:.4f} at last, a tenth of the run each."])
    if checks:
        parts.append(_checks(checks, described["step"]))
    if "measures" in described:
        parts.append(_response(described["measures"]))
    return "\n\n".join("\n".join(part) for part in parts)


def _rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a log by step; none where there is no log."""
    if not path.is_file():
        return []
    text = path.read_text(encoding="utf-8")
    rows = map(json.loads, text[: text.rfind("\n") + 1].splitlines())  # the last may be cut off
    by_step = {row["step"]: row for row in rows}
    return [by_step[step] for step in sorted(by_step)]


def _data(cards: list[dict[str, Any]]) -> list[str]:
    lines = []
    for card in cards:
        left_out = [f"{s['dropped']} {s['step']}" for s in card["steps"] if s["dropped"]]
        lines.append(
            f"{card['faces']} faces of {card['folder']}"
            + (f"; left out: {', '.join(left_out)}" if left_out else "")
            + "."
        )
    return lines


def _checks(checks: list[dict[str, Any]], chosen: int) -> list[str]:
    lines = ["| Step | AU error, AUs asked for | all AUs | |", "|---|---|---|---|"]
    for row in checks:
        mark = "kept" if row["step"] == chosen else ""
        cells = (str(row["step"]), f"{row['au_error']:.2f}", f"{row['full_error']:.2f}", mark)
        lines.append("| " + " | ".join(cells) + " |")
    return lines


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
    return lines + _not_measured(measures.get("not_measured", ()))


def _not_measured(names: Sequence[str]) -> list[str]:
    if not names:
        return []
    line = f"Not measured: {', '.join(names)}."
    if any(name.startswith("AU") for name in names):
        line += (
            " The estimator mesh reads 22 AUs, once `au-adapter download face-landmarker` has "
            "fetched what it needs."
        )
    return ["", line]
