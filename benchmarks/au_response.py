"""Does the face do what the sliders say? 12 AUs x 0..5 x 8 prompts that nothing was tuned on.

Drawn by a real ComfyUI from the shipped au_sweep graph, read by the shipped regressor. Beside it:
the same prompts and seeds without the adapter, what happens to the AUs that were not asked for, and
how close a picture stays to the one without AUs.

    python -m benchmarks au_response
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import torch
from PIL import Image

from au_adapter.bundled import demo_folder
from au_adapter.estimators.bundled_regressor import ESTIMATOR, load_regressor, read_files
from au_adapter.evaluation.records import Row
from au_adapter.evaluation.response import (
    full_error,
    prompted_error,
    response_curve,
    rise,
    spearman,
)
from au_adapter.facs import SET_A, UNITS
from au_adapter.metrics import picture_rmse
from tools.demo_graphs import SWEEP_LEVELS, face_graph, sweep_graph
from tools.server import ComfyServer

RESULTS = Path(__file__).parent / "results"
PICTURES = Path(__file__).parents[1] / ".cache" / "benchmarks" / "au_response"
PROMPTS = """\
a picture of a young woman with fair skin and a blond bob, in a blue shirt, grey background
a close-up of an old man with brown skin and short white hair, wearing a green jacket
a photo of a middle-aged woman with light skin and long red hair, against the sky
a portrait of a man with olive skin, black hair and stubble, in an orange sweater, white background
a young man with pale skin and very short brown hair, wearing a grey turtleneck, in a forest
a headshot of an old woman with tan skin and grey hair tied back, purple background
a photo of a woman with dark skin and long black hair, in a white shirt, on a yellow background
a portrait of a middle-aged man with fair skin and a bald head, wearing a black jacket, at sunset
"""
# Seeds that no decision was made on: once weights were changed because of a table, the next table
# takes others. 501..508 and 601..608 are used up.
CASES = tuple(zip(PROMPTS.splitlines(), range(801, 809), strict=True))  # prompt, seed
COUPLED = 0.6  # an unprompted AU that changes by more than this on average is listed


def main() -> None:
    """Draw, read, and write results/au_response.{json,md}."""
    rows = draw()
    RESULTS.mkdir(exist_ok=True)
    text = report(rows)
    (RESULTS / "au_response.md").write_text(text, encoding="utf-8")
    content = {"schema": 1, "estimator": ESTIMATOR, "rows": [row.answer() for row in rows]}
    (RESULTS / "au_response.json").write_text(json.dumps(content), encoding="utf-8")
    click.echo(text)


def draw() -> list[Row]:
    """Rows as demo/report.json has them; the pictures stay in .cache/ for other readers."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    ours, without = [], []
    with ComfyServer() as server:
        for prompt, seed in CASES:
            (plain,) = _save(
                server.run(face_graph("", prompt, seed, "plain", strength=0.0)), f"{seed}_plain"
            )
            for unit in SET_A:
                name = f"{seed}_au{unit}"
                files = _save(server.run(sweep_graph(unit, prompt, seed, name)), name)
                for level, file in zip(SWEEP_LEVELS, files, strict=True):
                    row = _row(prompt, seed, {str(unit): level}, file, "adapter")
                    ours.append(row)
                    without.append(_row(prompt, seed, row.requested, plain, "none"))
    return _with_readings([*ours, *without])


def _save(pictures: list[Image.Image], name: str) -> list[str]:
    files = [f"{name}_{number}.png" for number in range(len(pictures))]
    for file, picture in zip(files, pictures, strict=True):
        picture.save(PICTURES / file)
    return files


def _row(prompt: str, seed: int, requested: dict[str, float], file: str, method: str) -> Row:
    return Row(file, "", requested, seed, prompt=prompt, target=file, method=method)


def _with_readings(rows: list[Row]) -> list[Row]:
    regressor = load_regressor(demo_folder() / "regressor.safetensors")
    names = sorted({row.target for row in rows})
    readings = read_files(regressor, [PICTURES / name for name in names])
    seen = dict(zip(names, readings, strict=True))
    return [replace(row, measured=seen[row.target]) for row in rows]


def report(rows: list[Row]) -> str:
    """The whole result as Markdown."""
    command = "`python -m benchmarks au_response`, seeds " + ", ".join(
        str(seed) for _, seed in CASES
    )
    return "\n".join(
        [
            "# AU response of the bundled model",
            "",
            f"{command}. Reader: {ESTIMATOR}.",
            "",
            *_responses(rows),
            "",
            *_errors(rows),
            "",
            *_side_effects(rows),
            "",
            *_similarity(rows),
            "",
        ]
    )


def _responses(rows: list[Row]) -> list[str]:
    lines = [
        "| AU | "
        + " | ".join(f"asked {level:g}" for level in SWEEP_LEVELS)
        + " | rise | Spearman |",
        "|" + "---|" * (len(SWEEP_LEVELS) + 3),
    ]
    for unit in map(str, SET_A):
        curve = response_curve(rows, unit)
        cells = " | ".join(f"{value:.2f}" for value in curve.values())
        title = f"{unit} {UNITS[int(unit)].name}"
        lines.append(f"| {title} | {cells} | {rise(curve):.2f} | {spearman(curve):.2f} |")
    return lines


def _errors(rows: list[Row]) -> list[str]:
    prompted = [row for row in rows if any(row.requested.values())]
    lines = [
        "| Mean squared error, requests 1..5 | with adapter | without | ratio |",
        "|---|---|---|---|",
    ]
    for label, error in (("prompted AU", prompted_error), ("all 12 AUs", full_error)):
        ours, plain = error(prompted, "adapter"), error(prompted, "none")
        lines.append(f"| {label} | {ours:.3f} | {plain:.3f} | {ours / plain:.2f} |")
    return lines


def side_effects(rows: Iterable[Row]) -> dict[str, dict[str, float]]:
    """Prompted unit -> unprompted unit -> mean absolute change that asking brought about.

    The change is from the row of the same prompt, seed and unit whose requested value is 0.
    ValueError where there is none.
    """
    single = [row for row in rows if row.method == "adapter" and len(row.requested) == 1]
    neutral = {
        (row.prompt, row.seed, *row.requested): row.measured
        for row in single
        if not any(row.requested.values())
    }
    changes: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in single:
        ((unit, level),) = row.requested.items()
        if not level:
            continue
        before = neutral.get((row.prompt, row.seed, unit))
        if before is None:
            raise ValueError(
                f"AU{unit} was asked for with the prompt {row.prompt!r} and seed {row.seed}, "
                "and never at 0: a change needs the picture without it"
            )
        for other, value in row.measured.items():
            if other != unit:
                changes[unit][other].append(abs(value - before[other]))
    return {
        unit: {o: float(np.mean(v)) for o, v in others.items()} for unit, others in changes.items()
    }


def _side_effects(rows: list[Row]) -> list[str]:
    effects = side_effects(rows)
    every = [value for others in effects.values() for value in others.values()]
    coupled = [
        f"AU{unit} moves AU{other} by {value:.2f}"
        for unit, others in effects.items()
        for other, value in others.items()
        if value > COUPLED
    ]
    return [
        f"Mean absolute change of unprompted AUs: {np.mean(every):.2f}.",
        f"Coupled by more than {COUPLED}: {'; '.join(coupled) or 'none'}.",
    ]


def _similarity(rows: list[Row]) -> list[str]:
    neutral = {
        (row.seed, unit): row.target
        for row in rows
        if row.method == "adapter"
        for unit, level in row.requested.items()
        if level == 0
    }
    differences = [
        _rmse(row.target, neutral[row.seed, unit])
        for row in rows
        if row.method == "adapter"
        for unit, level in row.requested.items()
        if level > 0
    ]
    first = next(iter(neutral.values()))
    other = [_rmse(first, file) for file in sorted(set(neutral.values())) if file[:3] != first[:3]]
    return [
        "RMSE (0..1) to the picture that asks for nothing, same prompt and seed: "
        f"{np.mean(differences):.3f}; "
        f"between pictures of different prompts, for scale: {np.mean(other):.3f}."
    ]


def _rmse(first: str, second: str) -> float:
    files = (PICTURES / first, PICTURES / second)
    pictures = (torch.from_numpy(np.array(Image.open(file))).float() / 255 for file in files)
    return float(picture_rmse(*(picture[None] for picture in pictures)))


if __name__ == "__main__":
    main()
