"""A training that is asked to stop ends soon and loses nothing; what cannot fit is refused."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from test_training_loop import assert_same, state, train
from torch import nn
from toy_training import SETTINGS, ToyLoss, ToyRecipe

from au_adapter.training import follow, loop
from au_adapter.training.follow import Training, is_training
from au_adapter.training.loop import Trainer
from au_adapter.training.memory import activation_bytes, require_room

ROOT = Path(__file__).parents[2]
# Asked to stop in the 12th step, which would then take an hour.
HANGS = """
import signal, sys, time
from pathlib import Path
from au_adapter.training import loop
from toy_training import SETTINGS, ToyRecipe
def hang():
    signal.raise_signal(signal.SIGTERM)
    time.sleep(3600)
loop.GRACE = 0.5
loop.Trainer(ToyRecipe({12: hang}, seed=1), SETTINGS, Path(sys.argv[1])).run()
"""
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); "


def test_a_step_that_takes_too_long_is_given_up_and_loses_nothing(tmp_path: Path) -> None:
    paths = f"sys.path[:0] = {[str(ROOT), str(ROOT / 'tests')]!r}"
    program = f"import sys; {paths}{HANGS}"
    answer = subprocess.run([sys.executable, "-c", program, tmp_path / "run"], timeout=600)
    assert answer.returncode == 0 and state(tmp_path / "run")["step"] == 11
    assert not list((tmp_path / "run").glob("*.partial"))
    train(tmp_path / "run", seed=1)
    train(tmp_path / "whole", seed=1)
    assert_same(state(tmp_path / "run"), state(tmp_path / "whole"))


def test_a_process_that_does_not_hear_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "COMMAND", (sys.executable, "-c", DEAF + "time.sleep(3600)"))
    monkeypatch.setattr(follow, "KILL_AFTER", 0.5)
    with Training([], tmp_path) as training:
        while training._lines.empty():  # it is deaf from now on
            time.sleep(0.01)
        assert is_training()
    training.process.wait(600)
    assert training.process.returncode == -9 and not is_training()


def test_a_run_that_stops_in_time_ends_as_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process goes on, and nobody ends it later."""
    monkeypatch.setattr(loop, "GRACE", 1.0)
    train(tmp_path, events={12: lambda: signal.raise_signal(signal.SIGTERM)})
    assert state(tmp_path)["step"] == 12
    time.sleep(2)


class Wide(ToyRecipe):
    """A hundred million numbers for each face."""

    def __init__(self) -> None:
        super().__init__()
        self.module = WideLoss(0.2, 0)


class WideLoss(ToyLoss):
    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        wide = batch["inputs"][:, :1].expand(-1, 10**8) * self.network[0].weight[0, 0]
        return super().forward(batch) + (wide * wide).mean()


def test_a_batch_that_cannot_fit_is_refused_with_the_estimate(tmp_path: Path) -> None:
    settings = SETTINGS.__class__(steps=2, batch_size=20_000)
    message = r"20000 faces at once need about [0-9,]+ GB .* GB are free: lower batch_size"
    with pytest.raises(ValueError, match=message):
        Trainer(Wide(), settings, tmp_path).run()
    assert not (tmp_path / "state.pt").exists()


def test_what_is_kept_for_the_backward_is_counted_once_and_without_weights() -> None:
    layer = nn.Linear(1000, 1000)
    rows = {"x": torch.randn(1, 1000)}

    class Loss(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = layer

        def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
            hidden = self.layer(batch["x"])
            return (hidden * hidden).mean()

    # The input and the square's factor, 1000 numbers each; the mean keeps nothing.
    assert activation_bytes(Loss(), rows) == 8000


def test_trying_a_row_leaves_moving_averages_as_they_are() -> None:
    class Loss(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm1d(4)

        def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
            return self.norm(batch["x"]).mean()

    module = Loss()
    before = {name: buffer.clone() for name, buffer in module.named_buffers()}
    activation_bytes(module, {"x": torch.randn(3, 4)})
    assert all(torch.equal(buffer, before[name]) for name, buffer in module.named_buffers())


def test_trying_a_row_leaves_no_trace() -> None:
    recipe, before = ToyRecipe(), torch.get_rng_state()
    rows = recipe.batch(8, torch.Generator().manual_seed(0))
    require_room(recipe.module, rows, torch.device("cpu"))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(p.grad is None for p in recipe.module.parameters())
