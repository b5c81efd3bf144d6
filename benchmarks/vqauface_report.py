"""The report of `vqauface_tables`: our numbers, and the paper's in a table of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from au_adapter.disk import write_json, write_text
from au_adapter.evaluation.text_agreement import TEXT_READER

# Of the paper's user study (section 5.6).
CONFLICTS = ((12, 15), (1, 4), (6, 12, 15), (12, 15, 17), (6, 12, 15, 17), (1, 2, 4))
# Cell -> AAAD and FID as published (Table 3 and the ablation), on BP4D-AUText, by ME-GraphAU and a
# text classifier. The labels of the table's rows are lost and restored from its prose.
PUBLISHED = {
    "text": (0.606, 63.604),
    "vector": (0.459, None),
    "without S": (0.574, 66.031),
    "without A": (0.592, 63.900),
    "without V": (0.578, 78.859),
    "without S, A, V": (0.575, 67.489),
    "without anatomical loss": (0.599, 75.412),
}
PUBLISHED_UNSEEN = 0.607
COLUMNS = ("AU error", "of references", "of targets", "AAAD", "shuffled", "constant", "by means")


def write_report(
    results: Path,
    name: str,
    cells: Mapping[str, Sequence[Mapping[str, Any]]],
    others: Mapping[str, Mapping[str, float]],
    estimator: str,
) -> Path:
    """Write NAME.json and NAME.md into a folder; the path of the latter."""
    results.mkdir(parents=True, exist_ok=True)
    told = {"estimator": estimator, "texts": TEXT_READER, "cells": dict(cells), "others": others}
    write_json(results / f"{name}.json", told)
    seeds = len(next(iter(cells.values())))
    lines = [
        "# VQ-AUFace on rendered heads",
        "",
        f"AUs of pictures by the {estimator}, {TEXT_READER}; {seeds} seed(s), mean and "
        "range. AU error: mean squared error of the AUs asked for, in units squared, less is "
        "better. AAAD: more is better; it is to be held against its shuffled and its constant "
        "column. By means: 0 is shuffled, 1 is real pairs.",
        "",
        *_table("All held-out pictures", "all", cells),
        *_table("Combinations that no training picture shows", "unseen", cells),
        *_conflicts(cells, others),
        *_published(),
    ]
    write_text(results / f"{name}.md", "\n".join(lines) + "\n")
    return results / f"{name}.md"


def _table(title: str, kind: str, cells: Mapping[str, Sequence[Mapping]]) -> list[str]:
    lines = [f"## {title}", "", f"| Model | {' | '.join(COLUMNS)} |", "|---" * 8 + "|"]
    for cell, seeds in cells.items():
        rows = [_row(seed[kind]) for seed in seeds if "aaad" in seed[kind]]
        if not rows:
            lines.append(f"| {cell} | fewer than two such pictures |{' |' * 6}")
            continue
        shown = (_spread(column) for column in zip(*rows, strict=True))
        lines.append(f"| {cell} | {' | '.join(shown)} |")
    return [*lines, ""]


def _row(measured: Mapping[str, Any]) -> tuple[float, ...]:
    errors = (measured[f"au_error_of_{name}"] for name in ("drawn", "references", "targets"))
    agreement = measured["aaad"]
    return (*errors, *(agreement[n] for n in ("value", "shuffled", "constant", "anchored")))


def _spread(values: Sequence[float]) -> str:
    """The mean, and the range where there are several seeds."""
    if len(values) == 1:
        return f"{values[0]:.3f}"
    return f"{mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def _conflicts(
    cells: Mapping[str, Sequence[Mapping]], others: Mapping[str, Mapping[str, float]]
) -> list[str]:
    names = ["+".join(map(str, combination)) for combination in CONFLICTS]
    head = [
        "## AUs that pull against each other",
        "",
        "AU error of each combination at intensity 3.",
        "",
        f"| Model | {' | '.join(names)} | mean |",
        "|---" * (len(names) + 2) + "|",
    ]
    rows = {cell: [seed["conflicts"] for seed in seeds] for cell, seeds in cells.items()}
    rows |= {name: [found] for name, found in others.items()}
    for model, seeds in rows.items():
        columns = [[seed[name] for seed in seeds] for name in names]
        columns.append([mean(seed.values()) for seed in seeds])
        head.append(f"| {model} | {' | '.join(map(_spread, columns))} |")
    return [*head, ""]


def _published() -> list[str]:
    rows = [
        f"| {cell} | {aaad:.3f} | {'not given' if fid is None else f'{fid:.1f}'} |"
        for cell, (aaad, fid) in PUBLISHED.items()
    ]
    return [
        "## Published",
        "",
        "On photographs of BP4D and BP4D+, by other readers of pictures and texts: the order may "
        "be compared with ours, the numbers not.",
        "",
        "| Model | AAAD | FID |",
        "|---|---|---|",
        *rows,
        f"| text, unseen combinations | {PUBLISHED_UNSEEN:.3f} | not given |",
    ]
