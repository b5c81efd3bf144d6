"""Does a requested 3 measure 3? The error of the bundled adapter before and after calibration.

The response curves are fitted on some prompts and seeds, and judged on others, of the same model.
Drawn by diffusers with the bundled pipeline's own scheduler, read by the shipped regressor. The
weights are named by their hash: the numbers are theirs alone.

    python -m benchmarks calibration
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from au_adapter.data.pictures import as_picture
from au_adapter.estimators import Estimator, open_estimator, read_set
from au_adapter.evaluation.calibration_run import PROMPTS, read_sweep
from au_adapter.evaluation.closed_loop import closed_loop
from au_adapter.evaluation.fit_calibration import (
    LEVELS,
    PRICE,
    fit_calibration,
    observations,
    sweep_vectors,
)
from au_adapter.evaluation.plots import calibration_plot
from au_adapter.facs import SET_A, AUVector
from au_adapter.methods import open_generator
from au_adapter.methods.adapter_generator import AdapterGenerator
from au_adapter.metrics import au_mse
from au_adapter.models.calibration import Calibration

RESULTS = Path(__file__).parent / "results"
PICTURES = Path(__file__).parents[1] / ".cache" / "benchmarks" / "calibration"
STEPS, GUIDANCE = 12, 5.0  # as the bundled workflows guide
# The share of the steps before the AUs begin to act: each is fitted and judged apart.
STARTS = (0.0, 0.3)
TEST_LEVELS = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0)
TEST_PROMPTS = (  # neither these nor their seeds were in the fit
    "a portrait of a middle-aged woman with light skin and short red hair, in a green jacket",
    "a photo of an old man with tan skin and short white hair, in a white shirt, park background",
    "a close-up of a young man with olive skin and long black hair, wearing a yellow sweater",
    "a headshot of a young woman with tan skin and short brown hair, wearing a blue jacket",
    "a portrait of an old man with dark skin and short grey hair, in a white sweater",
    "a photo of a middle-aged woman with olive skin and long black hair, white background",
    "a close-up of an old woman with light skin and long white hair, wearing a green shirt",
    "a portrait of a young man with dark skin and short black hair, in a red shirt",
    "a headshot of a middle-aged man with light skin and short blond hair, blue background",
)
TEST_SEED = 401
COMBINATIONS = ("6C+12D", "1D+2D+5C", "4D+15C+17C", "12B+25D+26C")
AIM = 0.75  # of the error before


@dataclass(frozen=True)
class Outcome:
    """What one way of asking gave: error over the prompted AUs by set of requests, distance to the
    picture without AUs (RMSE, 0..1), and the pictures."""

    singles: float
    combinations: float
    per_unit: dict[int, float]
    distance: float
    pictures: list[Tensor]


def main() -> None:
    """Fit, judge, and write results/calibration.{json,md}; pictures to look at go to .cache/."""
    started = time.monotonic()
    generator = open_generator("au-adapter", steps=STEPS, guidance=GUIDANCE)
    reader = open_estimator("demo")
    calibrations = fit(generator, reader)
    outcomes = []
    for calibration, start in zip(calibrations, STARTS, strict=True):
        adapter = generator.adapter.with_calibration(calibration)
        for calibrated in (False, True):
            drawn = generator.changed(adapter=adapter, calibrated=calibrated, start=start)
            outcomes.append(judge(drawn, reader))
    loop = loop_alone(generator.changed(start=STARTS[-1]), calibrations[-1], reader)
    text = report(generator, reader, calibrations[-1], outcomes, loop)
    text += f"\n{time.monotonic() - started:.0f} s in all.\n"
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "calibration.md").write_text(text, encoding="utf-8")
    content = json.loads(calibrations[-1].to_json())
    (RESULTS / "calibration.json").write_text(json.dumps(content, indent=1), encoding="utf-8")
    _save_rows([outcome.pictures for outcome in outcomes])
    print(text)


def fit(generator: AdapterGenerator, reader: Estimator) -> list[Calibration]:
    """The response curves from the prompts and seeds of the fit, for each of STARTS."""
    found = []
    for start in STARTS:
        drawn = generator.changed(start=start)
        *swept, changed = read_sweep(drawn, reader, sweep_vectors(SET_A))
        found.append(fit_calibration(*swept, drawn.conditions(), PRICE * changed))
        curves = calibration_plot(found[-1], observations(*swept))
        _save(f"curves_{start:g}.png", curves[0])
    return found


def judge(generator: AdapterGenerator, reader: Estimator) -> Outcome:
    """Single AUs at 1..5 and combinations on the test prompts."""
    singles = sweep_vectors(SET_A, TEST_LEVELS)
    together = AUVector.stack([AUVector.parse(text, SET_A) for text in COMBINATIONS])
    wanted = AUVector.stack([singles, together])
    pictures = [generator.draw(p, TEST_SEED + i, wanted) for i, p in enumerate(TEST_PROMPTS)]
    measured = torch.stack([_measured(reader, batch) for batch in pictures])
    count = len(singles)
    one = [(wanted.values[1:count], seen[1:count]) for seen in measured]
    many = [(wanted.values[count:], seen[count:]) for seen in measured]
    return Outcome(
        singles=_error(one),
        combinations=_error(many),
        per_unit={unit: _unit_error(one, i) for i, unit in enumerate(SET_A)},
        distance=_distance(pictures, count),
        pictures=[batch[1:count] for batch in pictures],
    )


def loop_alone(generator: AdapterGenerator, calibration: Calibration, reader: Estimator) -> str:
    """What the closed loop reaches from the calibrated request, on one test prompt."""
    wanted = AUVector.stack([AUVector.parse(f"AU{unit}:3", SET_A) for unit in SET_A])
    reached = closed_loop(
        lambda aus: generator.draw(TEST_PROMPTS[0], TEST_SEED, aus),
        reader,
        wanted,
        start=calibration.requests(wanted),
        rounds=3,
    )
    return reached.sentence()


def report(
    generator: AdapterGenerator,
    reader: Estimator,
    calibration: Calibration,
    outcomes: list[Outcome],
    loop: str,
) -> str:
    """The result as Markdown. outcomes: for each of STARTS before and calibrated."""
    ways = [_named(start, calibrated) for start in STARTS for calibrated in (False, True)]
    units = (_line(f"AU{u} MSE", [o.per_unit[u] for o in outcomes]) for u in SET_A)
    lines = [
        "# Calibration of the bundled adapter",
        "",
        f"`python -m benchmarks calibration`, of the adapter {generator.settings()['adapter']} "
        f"({generator.conditions()}), read by the {reader.name}. Fitted on "
        f"{len(PROMPTS)} prompts and seeds at up to {LEVELS[-1]:g}, judged on {len(TEST_PROMPTS)} "
        "others. In brackets: the share of the first column's value.",
        "",
        f"| | {' | '.join(ways)} |",
        "|---|" + "---|" * len(ways),
        _line("AU MSE, single AUs at 1 to 5", [o.singles for o in outcomes]),
        _line("AU MSE, combinations, AUs asked for", [o.combinations for o in outcomes]),
        _line("RMSE to the picture without AUs, 0..1", [o.distance for o in outcomes]),
        *units,
        "",
        *map(partial(_verdict, outcomes[0]), outcomes[1::2], ways[1::2]),
        "",
        f"AUs that do not answer and stay as asked for: "
        f"{', '.join(f'AU{u}' for u in calibration.unresponsive()) or 'none'}.",
        f"Closed loop from there, each AU at 3 on one test prompt: {loop}.",
    ]
    return "\n".join(lines) + "\n"


def _named(start: float, calibrated: bool) -> str:
    return ("calibrated" if calibrated else "before") + (
        f", AUs after {start:.0%} of the steps" if start else ""
    )


def _verdict(before: Outcome, after: Outcome, way: str) -> str:
    less = "reached" if after.singles <= AIM * before.singles else "missed"
    near = "reached" if after.distance <= before.distance else "missed"
    return (
        f"- {way[0].upper()}{way[1:]}: at most {AIM} of the first column's error on single AUs: "
        f"{less}; no greater distance to the picture without AUs: {near}."
    )


def _line(label: str, values: list[float]) -> str:
    first, *rest = values
    shares = " | ".join(f"{value:.3f} ({value / first:.2f})" for value in rest)
    return f"| {label} | {first:.3f} | {shares} |"


def _measured(reader: Estimator, pictures: Tensor) -> Tensor:
    """[N, 12]; the regressor sees a face in every picture that is not of one colour."""
    faces = read_set(reader, pictures).surest()
    return torch.stack([face.aus.dense(SET_A)[0] for face in faces])


def _error(parts: Sequence[tuple[Tensor, Tensor]]) -> float:
    wanted, measured = (torch.cat(side) for side in zip(*parts, strict=True))
    return au_mse(wanted, measured, wanted != 0)


def _unit_error(parts: Sequence[tuple[Tensor, Tensor]], column: int) -> float:
    wanted, measured = (torch.cat(side)[:, column] for side in zip(*parts, strict=True))
    return (wanted - measured)[wanted != 0].square().mean().item()


def _distance(pictures: list[Tensor], count: int) -> float:
    """Mean RMSE of the single AUs to the picture that asks for nothing, the first."""
    each = [(p[1:count] - p[:1]).square().mean((1, 2, 3)).sqrt().mean() for p in pictures]
    return torch.stack(each).mean().item()


def _save_rows(outcomes: list[list[Tensor]]) -> None:
    """For the first test prompt, each AU at 1..5 before, and beside it calibrated."""
    levels = len(TEST_LEVELS) - 1
    rows = zip(*(pictures[0].split(levels) for pictures in outcomes), strict=True)
    _save(
        "before_after.png",
        torch.cat([torch.cat([p for part in row for p in part], 1) for row in rows]),
    )


def _save(name: str, picture: Tensor) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    as_picture(picture).save(PICTURES / name)


if __name__ == "__main__":
    main()
