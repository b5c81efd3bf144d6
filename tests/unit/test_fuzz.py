"""The fuzzer: a short form of `make fuzz`, and that it notices what it looks for."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random

import fuzz.__main__ as fuzzer
import pytest
import torch
from fuzz.mutations import damaged, damaged_json
from fuzz.readers import READERS, Reader

ROOT = Path(__file__).parents[2]
SHORT = 300  # files, of which each reader gets a few


def test_damaged_files_are_read_or_refused_by_name() -> None:
    paths = os.pathsep.join((str(ROOT / "tests"), str(ROOT)))
    command = [sys.executable, "-m", "fuzz", "--files", str(SHORT)]
    answer = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": paths}
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert len(answer.stdout.splitlines()) == len(READERS) + 1
    assert '"read"' in answer.stdout and '"refused"' in answer.stdout


def _write(folder: Path) -> Path:
    path = folder / "whole.json"
    path.write_text('{"a": [1, 2, {"b": "c"}]}')
    return path


def _outcomes(read: Callable[[Path], object], folder: Path) -> dict[str, int]:
    def first_is_whole(path: Path) -> None:
        if path.read_bytes() != b'{"a": [1, 2, {"b": "c"}]}':
            read(path)

    reader = Reader("r", _write, first_is_whole, damaged_json)
    return fuzzer.fuzz(reader, folder, 5, 0, None)


def _refuse(path: Path) -> None:
    raise ValueError(f"{path} is damaged")


def _key_error(path: Path) -> None:
    raise KeyError(path.name)


def _nameless(path: Path) -> None:
    raise ValueError("something is damaged")


@pytest.mark.parametrize(
    ("read", "outcome"),
    [
        (_refuse, "refused"),
        (_key_error, "traceback"),
        (_nameless, "no file name"),
        (lambda path: bytearray(3 * 2**30), "memory"),
        (lambda path: torch.ones(3 * 2**28), "memory"),
        (lambda path: path.read_bytes(), "read"),
    ],
)
def test_every_outcome_is_told_apart(
    tmp_path: Path, read: Callable[[Path], object], outcome: str
) -> None:
    assert _outcomes(read, tmp_path) == {outcome: 5}


def _for_ever(path: Path) -> None:
    while True:
        path.stat()


def test_reading_for_ever_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzzer, "SECONDS", 1)
    reader = Reader("r", _write, _for_ever, damaged)
    with fuzzer.limited_memory():
        assert fuzzer.outcome_of(reader, _write(tmp_path))[0] == "too slow"


def test_the_same_seed_draws_the_same_damage() -> None:
    whole = b'{"a": [1, 2, {"b": "c"}]}'
    for mutate in {reader.mutate for reader in READERS[:1]} | {damaged, damaged_json}:
        drawn = [[mutate(whole, Random(n)) for n in range(50)] for _ in range(2)]
        assert drawn[0] == drawn[1] and len({*drawn[0]}) > 20
