"""Does the stages of the plan: renders what is missing, trains what is not done."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from accelerate.utils import broadcast_object_list
from torch import nn

from au_adapter.data.rendering.dataset import render_dataset
from au_adapter.training.run import train

from .plan import POSE_SPREAD, SIZE, Draw, Stage

LOGGER = logging.getLogger("au_adapter")


class Stopped(Exception):
    """A stage was asked to stop before its last step; it is saved and goes on next time."""


@dataclass(frozen=True)
class Workshop:
    """Where everything lies. model: the face model's npz; output: the folder of all runs;
    precision: of the trainings, "bf16" or "no"; workers: processes that render."""

    model: Path
    output: Path
    precision: str
    workers: int = 1

    def renders(self, name: str) -> Path:
        """The folder of a draw."""
        return self.output / "renders" / name

    def result(self, stage: str) -> Path:
        """What a stage's training left."""
        return self.output / stage / "result"

    def render(self, name: str, draw: Draw) -> Path:
        """Make a draw, or what is missing of it; how long it took is noted beside its pictures."""
        started, folder = time.monotonic(), self.renders(name)
        render_dataset(
            self.model, folder, size=SIZE, pose_spread=POSE_SPREAD, workers=self.workers,
            **asdict(draw),
        )  # fmt: skip
        add_seconds(folder / "seconds.json", time.monotonic() - started)
        return folder

    def train(self, name: str, stage: Stage) -> Path:
        """Train a stage to its last step; Stopped when a signal ended it before."""
        if trained_steps(self.result(name)) < stage.settings["steps"]:
            LOGGER.info("%s: training, %d steps", name, stage.settings["steps"])
            # A stage's own kind of precision wins over that of the run.
            settings = {"mixed_precision": self.precision, **stage.settings}
            needs = {keyword: str(self.result(of)) for keyword, of in stage.needs.items()}
            data = [self.renders(draw) for draw in stage.draws]
            train(stage.recipe, data, self.output / name, **settings, **needs, **stage.options)
        if (steps := trained_steps(self.result(name))) < stage.settings["steps"]:
            raise Stopped(f"{name} stopped at step {steps} of {stage.settings['steps']}")
        return self.result(name)


def trained_steps(result: Path) -> int:
    """The step of the weights in a result folder; 0 where there is none."""
    path = result / "training.json"
    return json.loads(path.read_text(encoding="utf-8"))["step"] if path.is_file() else 0


def training_seconds(run: Path) -> float:
    """Seconds that the steps of a run took, by its log; a step repeated after a cut counts once."""
    path = run / "log.jsonl"
    if not path.is_file():
        return 0.0
    rows = {row["step"]: row for row in map(json.loads, path.read_text().splitlines())}
    steps = sorted(rows)
    lengths = [after - before for before, after in zip([0, *steps], steps, strict=False)]
    return sum(n * rows[s]["seconds_per_step"] for n, s in zip(lengths, steps, strict=True))


def add_seconds(path: Path, seconds: float) -> None:
    """Add to the seconds that a file counts."""
    before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else 0.0
    path.write_text(json.dumps(round(before + seconds, 1)), encoding="utf-8")


def agreed_precision() -> str:
    """`faster_precision` as the first of the launched processes measures it, for all of them."""
    return broadcast_object_list([faster_precision()])[0]


def faster_precision() -> str:
    """ "bf16" where a training step is faster in it than in float32, else "no"; measured."""
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported() else "no"
    seconds = {
        kind: min(_step_seconds(kind == "bf16") for _ in range(3)) for kind in ("no", "bf16")
    }
    LOGGER.info("a trial step takes %(no).3f s in float32, %(bf16).3f s in bfloat16", seconds)
    return min(seconds, key=seconds.__getitem__)


def _step_seconds(bfloat16: bool) -> float:
    network = nn.Sequential(nn.Conv2d(64, 128, 3, padding=1), nn.SiLU(), nn.Conv2d(128, 64, 3))
    pictures = torch.randn(16, 64, 32, 32)
    started = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        network(pictures).float().square().mean().backward()
    return time.perf_counter() - started
