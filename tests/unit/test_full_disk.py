"""A disk that fills and a process that is killed: nothing half-written stays, and runs go on."""

from __future__ import annotations

import csv
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from fuzz.files import magicface
from labelled_faces import FixedSource, write_picture
from little_room import largest_file
from test_evaluation_methods import READER, run, write_photos
from tiny_unet import SD15, tiny_adapter, tiny_unet
from toy_training import SETTINGS, ToyRecipe

from au_adapter.cli import main
from au_adapter.data.face_source import LABEL_STEPS, PICTURE_STEPS, LabelledFace
from au_adapter.data.pictures import write_png
from au_adapter.data.preparation import Preparation
from au_adapter.data.rendering.ict import convert_folder
from au_adapter.disk import FullDiskError, full_disk_said, is_full_disk, replacing
from au_adapter.training.loop import Trainer
from au_adapter.weights.adapter_files import save_adapter

ROOT = Path(__file__).parents[2]
SAID = "full, or your share of it.*[Mm]ake room and run this again"


@pytest.fixture(autouse=True)
def no_networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AU_ADAPTER_CACHE", str(tmp_path / "cache"))


def evaluate(folder: Path, output: Path) -> list[object]:
    return ["evaluate", folder, "--requested", folder / "asked.csv", "--output", output]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = write_photos(tmp_path / "photos")
    shutil.copy(folder / "person1.png", folder / "person2.png")
    lines = [f"person{n}.png,{code},person0.png" for n, code in enumerate(("6C", "12D", "4B"))]
    (folder / "asked.csv").write_text("\n".join(["file,aus,source", *lines[1:]]) + "\n")
    return folder


def check_whole(output: Path) -> None:
    """Every file in a folder of results is whole; only a log may end in a line that was cut."""
    for path in output.iterdir():
        assert not path.name.endswith(".partial"), path
        if path.suffix == ".json":
            json.loads(path.read_text())
        if path.suffix == ".csv":
            assert len({len(row) for row in csv.reader(path.open())}) == 1


def test_a_report_fits_whole_or_is_not_there(tmp_path: Path, photos: Path) -> None:
    whole = tmp_path / "whole"
    result = run(*evaluate(photos, whole))
    assert result.exit_code == 0, result.output
    sizes = sorted(path.stat().st_size for path in whole.iterdir())
    output = tmp_path / "run"
    # One file more finds room each time; the run goes on from where it stopped.
    for size in [100, *(size - 1 for size in sizes)]:
        with largest_file(size):
            result = run(*evaluate(photos, output))
        assert result.exit_code == 1 and isinstance(result.exception, SystemExit)
        assert "the disk of" in result.output and "make room and run this again" in result.output
        check_whole(output)
    assert run(*evaluate(photos, output)).exit_code == 0
    assert (output / "report.json").read_text() == (whole / "report.json").read_text()
    assert {p.name for p in output.iterdir()} == {p.name for p in whole.iterdir()}


def write_adapter(folder: Path) -> Path:
    return save_adapter(tiny_adapter(tiny_unet(SD15), rank=2), folder / "a.safetensors")


def write_face_model(folder: Path) -> Path:
    source = folder.parent / f"{folder.name}-objects"
    if not source.is_dir():
        source.mkdir()
        numbers = np.random.default_rng(0).random((3, 1500, 3))
        names = ("generic_neutral_mesh", "identity000", "smile")
        for name, points in zip(names, numbers, strict=True):
            lines = ["v {} {} {}".format(*point) for point in points]
            (source / f"{name}.obj").write_text("\n".join([*lines, "vt 0 0", "f 1/1 2/1 3/1"]))
    return convert_folder(source, folder / "m.npz")


def write_plot(folder: Path) -> Path:
    return write_png(folder / "plot.png", torch.rand(90, 90, 3))


@pytest.mark.parametrize("write", [write_adapter, write_face_model, write_plot])
def test_a_file_that_finds_no_room(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    path = write(tmp_path)
    before = path.read_bytes()
    with pytest.raises(FullDiskError, match=f"{path.name} .*{SAID}"), largest_file(4096):
        write(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [path.name] and path.read_bytes() == before


def test_convert_says_a_full_disk_and_leaves_nothing(tmp_path: Path) -> None:
    sources = {"adapter": write_adapter(tmp_path), "magicface": magicface(tmp_path)}
    before = {*tmp_path.iterdir()}
    for name, source in sources.items():
        words = ["convert", str(source), str(tmp_path / f"{name}-copy.safetensors")]
        with largest_file(4096):
            result = CliRunner().invoke(main, words)
        assert result.exit_code == 1 and isinstance(result.exception, SystemExit)
        assert f"{name}-copy.safetensors could not be written: the disk is full" in result.output
        assert {*tmp_path.iterdir()} == before


def test_a_training_keeps_the_state_before(tmp_path: Path) -> None:
    trainer = Trainer(ToyRecipe(), SETTINGS, tmp_path)
    trainer.run()
    state = (tmp_path / "state.pt").read_bytes()
    result = {path.name: path.read_bytes() for path in (tmp_path / "result").iterdir()}
    for room in (1000, len(state) - 1):
        said = pytest.raises(FullDiskError, match=SAID)
        with said, full_disk_said(tmp_path), largest_file(room):
            trainer._save()
        assert (tmp_path / "state.pt").read_bytes() == state
        assert {p.name: p.read_bytes() for p in (tmp_path / "result").iterdir()} == result
        assert not list(tmp_path.glob("*.partial"))


def test_other_errors_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), replacing(tmp_path / "a"):
        raise PermissionError(errno.EACCES, "mine")
    with pytest.raises(RuntimeError, match="no disk at all"), replacing(tmp_path / "a"):
        raise RuntimeError("no disk at all")
    assert is_full_disk(FullDiskError("x")) and str(FullDiskError("x")) == "x"


def test_what_a_killed_preparation_left_is_gone_after_the_next(tmp_path: Path) -> None:
    """Also of shards that the next run does not write."""
    program = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from au_adapter.data.shards import new_shard, shard_path\n"
        "open_shards = [new_shard(shard_path(Path(sys.argv[1]), n)) for n in (0, 7)]\n"
        "for shard in open_shards:\n"
        "    shard.__enter__()('a.png', bytes(20000))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    output = tmp_path / "out"
    output.mkdir()
    killed = subprocess.run([sys.executable, "-c", program, output], cwd=ROOT)
    left = sorted(path.name for path in output.iterdir())
    assert killed.returncode == -signal.SIGKILL and len(left) == 2
    assert left[0].startswith(".shard-00000.tar.") and left[1].startswith(".shard-00007.tar.")
    rows = [LabelledFace(write_picture(tmp_path / "a.png"), {"12": 1.0})]
    Preparation(FixedSource(rows, (*LABEL_STEPS, *PICTURE_STEPS)), output).run()
    assert sorted(p.name for p in output.iterdir()) == ["card.json", "shard-00000.tar", "work"]


def test_an_evaluation_that_is_killed_goes_on(tmp_path: Path, photos: Path) -> None:
    whole, output = tmp_path / "whole", tmp_path / "run"
    result = run(*evaluate(photos, whole))
    assert result.exit_code == 0, result.output
    program = [sys.executable, "-m", "au_adapter", *map(str, evaluate(photos, output))]
    paths = os.pathsep.join((str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "unit")))
    environment = {**os.environ, "PYTHONPATH": paths}
    process = subprocess.Popen([*program, "--estimator", READER], env=environment, cwd=ROOT)
    while process.poll() is None and not list(output.glob("rows-*.jsonl")):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    rows = output / "rows-0.jsonl"
    # The worst moments that a kill can hit: in the middle of a line, and of a file.
    with rows.open("a") as file:
        file.write('{"id": "person1.png", "grou')
    (output / f".report.json.{os.uname().nodename}.{process.pid}.partial").write_text("{")
    assert run(*evaluate(photos, output)).exit_code == 0
    check_whole(output)
    assert (output / "report.json").read_text() == (whole / "report.json").read_text()
