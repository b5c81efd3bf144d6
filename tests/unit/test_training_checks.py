"""How a check ends in trouble: it draws faces, and what helps a step does not help it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_demo import write_demo
from torch import nn

from au_adapter.data.rendered import SAMPLE
from au_adapter.training.errors import checked, explained
from au_adapter.training.follow import Training, TrainingError

# Estimators of AUs that anybody may bring as MODULE:FUNCTION, and that end the process they are in.
READERS = """
import os, signal, types
import torch

def reader(estimate):
    return types.SimpleNamespace(name="hungry", units=(12,), estimate=estimate)

def hungry():
    return reader(lambda images: torch.empty(2**60, dtype=torch.uint8))

def killed():
    return reader(lambda images: os.kill(os.getpid(), signal.SIGKILL))
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_demo(tmp_path_factory.mktemp("base"))
    (folder / "readers.py").write_text(READERS)
    return folder


def failure(base: Path, output: Path, reader: str) -> TrainingError:
    """How a training with this estimator fails in its first check."""
    chosen = {"base": base, "batch_size": 2, "units": "[12]", "mixed_precision": "no"}
    settings = (word for name, value in chosen.items() for word in ("--set", f"{name}={value}"))
    run = ("--recipe", "fineface", "--data", str(SAMPLE), "--steps", "1", "--validate-every", "1")
    arguments = [*run, "--estimator", f"readers:{reader}", *settings]
    training = Training(arguments, output, {"PYTHONPATH": str(base)})
    with training, pytest.raises(TrainingError) as caught:
        list(training.events())
    return caught.value


def test_memory_that_a_check_uses_up_is_a_matter_of_the_check(tmp_path: Path) -> None:
    told: list[Any] = []

    def hungry(module: nn.Module, folder: Path) -> dict[str, Any]:
        return {"au_error": torch.empty(2**60, dtype=torch.uint8)}  # more than any machine has

    def broken(module: nn.Module, folder: Path) -> dict[str, Any]:
        raise RuntimeError("shapes")

    said = "in a check.*set validate_every=0"
    with pytest.raises(MemoryError, match=said) as caught, explained(tmp_path):
        checked(hungry, tmp_path, told.append)(nn.Identity(), tmp_path)
    assert "lower batch_size" not in str(caught.value) and told == [{"event": "check"}]
    with pytest.raises(RuntimeError, match="^shapes$"), explained(tmp_path):
        checked(broken, tmp_path, told.append)(nn.Identity(), tmp_path)
    assert checked(lambda *_: {"au_error": 1.0}, tmp_path, told.append)(nn.Identity(), tmp_path)


def test_a_follower_hears_that_it_was_in_a_check(base: Path, tmp_path: Path) -> None:
    error = failure(base, tmp_path / "hungry", "hungry")
    assert error.kind == "CheckMemoryError" and error.checking
    assert "in a check" in str(error) and "validate_every=0" in str(error)
    error = failure(base, tmp_path / "killed", "killed")
    assert error.kind == "killed" and error.checking
