"""What fifteen minutes of one processor core give: an adapter trained from the bundled base on the
committed renders, killed in the middle, gone on, and measured at prompts and seeds held out.

    python -m benchmarks train_proof

It trains as everybody would, by `au-adapter train --recipe fineface --data rendered`, and goes on
where it was stopped. Measured beside the same base without adapter.
"""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import click
import numpy as np
import psutil

from au_adapter.bundled import demo_folder
from au_adapter.estimators import open_estimator
from au_adapter.evaluation.records import Row
from au_adapter.evaluation.response import prompted_error, response_curve, rise, spearman
from au_adapter.facs import SET_A, UNITS, AUVector
from au_adapter.methods import open_generator
from au_adapter.training.follow import Training, TrainingError

from .au_response import PROMPTS

RESULTS = Path(__file__).parent / "results"
WORK = Path(__file__).parents[1] / ".cache" / "benchmarks" / "train_proof"
STEPS, SAVED, KILLED = 800, 400, 430  # the last save before the kill, and the step of the kill
COMPARED = 20  # losses after the kill that must be the same
SETTINGS = {
    "batch_size": 16,
    "mixed_precision": "no",
    "warmup_steps": 50,
    "decay_steps": 300,
    "average_decay": 0.99,
    "save_every": SAVED,
    "log_every": 1,
    "seed": 1,
}
CASES = tuple(zip(PROMPTS.splitlines()[::2], range(7001, 7005), strict=True))  # prompt, seed
LEVELS = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0)
MOST_ERROR, LEAST_SPEARMAN = 0.85, 0.7  # what is promised: share of the base's error, rank


@dataclass
class Run:
    """What was heard of a training: losses by step, and what it cost."""

    losses: dict[int, float] = field(default_factory=dict)
    cpu_seconds: float = 0.0
    seconds: float = 0.0

    def follow(self, output: Path, kill_at: int = 0) -> None:
        """Train until the end, or kill the process at a step."""
        begun = time.monotonic()
        settings = [w for k, v in SETTINGS.items() for w in ("--set", f"{k}={v}")]
        arguments = ["--recipe", "fineface", "--data", "rendered", "--steps", str(STEPS), *settings]
        with Training(arguments, output) as training:
            process = psutil.Process(training.process.pid)
            for event in training.events():
                if event is None or event["event"] != "step":
                    continue
                self.losses[event["step"]] = event["loss"]
                self.cpu_seconds = sum(process.cpu_times()[:2])
                self.seconds = time.monotonic() - begun
                if event["step"] == kill_at:
                    process.kill()


def main() -> None:
    """Train, measure, and write results/train_proof.{json,md}."""
    shutil.rmtree(WORK, ignore_errors=True)
    killed, resumed = Run(), Run()
    try:
        killed.follow(WORK, KILLED)
    except TrainingError as error:
        click.echo(f"as intended: {error}")
    resumed.follow(WORK)
    result = {
        "schema": 1,
        "command": f"au-adapter train --recipe fineface --data rendered --steps {STEPS}",
        "settings": SETTINGS,
        "cpu_minutes": round((killed.cpu_seconds + resumed.cpu_seconds) / 60, 1),
        "minutes": round((killed.seconds + resumed.seconds) / 60, 1),
        "resume": compare(killed, resumed),
        **measure(WORK / "result" / "adapter.safetensors"),
    }
    text = report(result)
    (RESULTS / "train_proof.md").write_text(text, encoding="utf-8")
    (RESULTS / "train_proof.json").write_text(json.dumps(result), encoding="utf-8")
    click.echo(text)


def compare(killed: Run, resumed: Run) -> dict:
    """The losses after the last save, before and after the kill."""
    steps = range(SAVED + 1, SAVED + 1 + COMPARED)
    pairs = [(killed.losses[step], resumed.losses[step]) for step in steps]
    return {
        "first_step": min(resumed.losses),
        "compared": len(pairs),
        "same": sum(before == after for before, after in pairs),
        "largest_difference": max(abs(before - after) for before, after in pairs),
    }


def measure(adapter: Path) -> dict:
    """Rows, the errors with and without adapter, the curve of each AU."""
    generator, reader = open_generator(adapter=adapter), open_estimator("demo")
    rows = []
    for prompt, seed in CASES:
        requests = [{str(unit): level} for unit in SET_A for level in LEVELS]
        pictures = generator.draw(prompt, seed, AUVector.stack([_vector(r) for r in requests]))
        plain = generator.plain(prompt, seed)
        (without,) = _read(reader, plain)
        for requested, measured in zip(requests, _read(reader, pictures), strict=True):
            row = Row("", "", requested, seed, prompt=prompt)
            rows.append(replace(row, method="adapter", measured=measured))
            rows.append(replace(row, method="none", measured=without))
    asked = [row for row in rows if any(row.requested.values())]
    curves = {str(unit): response_curve(rows, str(unit)) for unit in SET_A}
    return {
        "estimator": reader.name,
        "base": str(demo_folder().name),
        "error": {method: prompted_error(asked, method) for method in ("adapter", "none")},
        "spearman": {unit: spearman(curve) for unit, curve in curves.items()},
        "curves": {unit: {f"{k:g}": v for k, v in c.items()} for unit, c in curves.items()},
        "rise": {unit: rise(curve) for unit, curve in curves.items()},
        "rows": [row.answer() for row in rows],
    }


def _vector(requested: dict[str, float]) -> AUVector:
    return AUVector.zeros(SET_A) + AUVector.from_dict(requested)


def _read(reader, pictures) -> list[dict[str, float]]:
    return [
        {str(u): round(float(v), 3) for u, v in zip(r.aus.units, r.aus.values[0], strict=True)}
        for r in reader.estimate(pictures)
    ]


def report(result: dict) -> str:
    """The result as Markdown, promises first."""
    error, ranks, resume = result["error"], result["spearman"], result["resume"]
    ratio, rank = error["adapter"] / error["none"], float(np.mean(list(ranks.values())))
    chosen = " ".join(f"--set {name}={value}" for name, value in result["settings"].items())
    lines = [
        "# Training proof",
        "",
        f"`python -m benchmarks train_proof`: `{result['command']} {chosen}`,",
        f"{result['cpu_minutes']} CPU minutes ({result['minutes']} minutes on a shared core), from "
        "the bundled base, on the 240 committed renders.",
        f"Measured by the {result['estimator']}, over {len(CASES)} prompts and seeds "
        f"{CASES[0][1]} to {CASES[-1][1]} that nothing was trained or chosen on.",
        "",
        "| | measured | promised |",
        "|---|---|---|",
        f"| AU error of prompted AUs, share of the base's | {ratio:.2f} | at most {MOST_ERROR} |",
        f"| mean Spearman of asked and measured | {rank:.2f} | at least {LEAST_SPEARMAN} |",
        f"| losses after a kill at step {KILLED} that are those of the unbroken run | "
        f"{resume['same']} of {resume['compared']} | {COMPARED} |",
        "",
        f"AU error (mean squared, requests 1 to 5): {error['adapter']:.2f} with the adapter, "
        f"{error['none']:.2f} by the base alone.",
        "",
        "| AU | " + " | ".join(f"asked {level:g}" for level in LEVELS) + " | Spearman |",
        "|" + "---|" * (len(LEVELS) + 2),
    ]
    for unit, curve in result["curves"].items():
        cells = " | ".join(f"{value:.2f}" for value in curve.values())
        lines.append(f"| {unit} {UNITS[int(unit)].name} | {cells} | {ranks[unit]:.2f} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
