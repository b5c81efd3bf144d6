"""What a run says while it trains, where its faces come from, and how it ends in trouble."""

from __future__ import annotations

import errno
import json
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from labelled_faces import write_faces, write_picture, write_table
from little_room import largest_file
from tiny_demo import write_demo
from toy_training import SETTINGS, ToyRecipe
from two_processes import in_two_processes

from au_adapter import load_adapter
from au_adapter.data.rendered import SAMPLE, find_renders
from au_adapter.training import follow, run
from au_adapter.training.errors import explained
from au_adapter.training.follow import LOCK, START, Training, TrainingError
from au_adapter.training.loop import Trainer
from au_adapter.training.sources import data_card, find_faces
from au_adapter.weights.adapter_files import adapter_tensors

ROOT = Path(__file__).parents[2]
PHOTOS = 9


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_demo(tmp_path_factory.mktemp("base"))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Pictures and labels.csv; the last picture is cut off."""
    folder = tmp_path / "photos"
    rows = []
    for number in range(PHOTOS):
        write_picture(folder / f"{number}.png", 20 * number, (32, 32))
        rows.append({"file": f"{number}.png", "caption": "a man", "AU12": number / 2})
    last = folder / f"{PHOTOS - 1}.png"
    last.write_bytes(last.read_bytes()[:40])
    write_table(folder / "labels.csv", rows)
    return folder


def command(base: Path, data: Path | str, output: Path, *more: str) -> list[str]:
    settings = {"base": base, "batch_size": 2, "lanes": 2, "mixed_precision": "no"}
    chosen = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    start = [sys.executable, "-m", "au_adapter", "train", "--recipe", "fineface", "--steps", "3"]
    where = ["--data", str(data), "--output", str(output), "--progress", "json"]
    return [*start, *where, *chosen, *more]


def events(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_run_tells_each_step_in_json(base: Path, photos: Path, tmp_path: Path) -> None:
    """Also: a folder of pictures with a table is enough, and a cut-off picture costs only itself"""
    answer = subprocess.run(
        command(base, photos, tmp_path / "run"), capture_output=True, text=True, cwd=ROOT
    )
    assert answer.returncode == 0, answer.stderr
    told = events(answer.stdout)
    assert [e["event"] for e in told] == ["data", "start", "step", "step", "step", "saved", "end"]
    assert told[0]["faces"] == PHOTOS - 1
    assert {"step": "unreadable picture", "in": PHOTOS, "dropped": 1} in told[0]["steps"]
    assert told[1] == {"event": "start", "step": 0, "steps": 3}
    assert [e["step"] for e in told[2:5]] == [1, 2, 3] and all(e["loss"] > 0 for e in told[2:5])
    adapter = load_adapter(Path(told[-1]["result"]) / "adapter.safetensors")
    assert adapter.provenance["data"][0]["units"]["12"]["labelled"] == PHOTOS - 1


def test_two_processes_prepare_and_tell_once(base: Path, photos: Path, tmp_path: Path) -> None:
    """One prepares, one tells, and they learn what one would. The weights move by ten times what
    the two may differ by."""
    free = ("--set", "warmup_steps=0", "--set", "decay_steps=0")
    said = in_two_processes(command(base, photos, tmp_path / "two", *free))
    told = [events(out) for out, _ in said]
    assert [e["event"] for e in told[0]][-2:] == ["saved", "end"] and told[1] == []
    subprocess.run(command(base, photos, tmp_path / "one", *free), check=True, cwd=ROOT)
    shorter = command(base, photos, tmp_path / "shorter", *free, "--steps", "1")
    subprocess.run(shorter, check=True, cwd=ROOT)
    two, one, before = (
        adapter_tensors(load_adapter(tmp_path / name / "result" / "adapter.safetensors"))
        for name in ("two", "one", "shorter")
    )
    for name, weight in one.items():
        torch.testing.assert_close(two[name], weight, atol=1e-4, rtol=0)
    moved = {name: (one[name] - before[name]).abs().max() for name in one if "to_k" not in name}
    assert any("lora_B" in name for name in moved) and min(moved.values()) > 1e-3


def test_one_process_reads_the_labels_of_shards_without_a_card(base: Path, tmp_path: Path) -> None:
    faces = write_faces(tmp_path / "faces", (3, 2))
    said = in_two_processes(command(base, faces, tmp_path / "run"))
    assert [err.count("no card.json: its labels are read") for _, err in said] == [1, 0]
    assert events(said[0][0])[0]["faces"] == 5 and said[1][0] == ""
    described = json.loads((tmp_path / "run" / "result" / "training.json").read_text())
    assert described["data"][0]["shards"] == 2 and described["data"][0]["folder"] == "faces"


def test_the_data_card_of_a_folder_needs_no_shard(photos: Path, tmp_path: Path) -> None:
    folder = find_faces(photos, tmp_path)
    next(folder.glob("*.tar")).write_bytes(b"")
    assert data_card(folder)["faces"] == PHOTOS - 1


def test_an_error_is_the_last_line(base: Path, photos: Path, tmp_path: Path) -> None:
    write_table(photos / "labels.csv", [{"file": "0.png", "caption": "a man"}])
    answer = subprocess.run(
        command(base, photos, tmp_path / "run"), capture_output=True, text=True, cwd=ROOT
    )
    (told,) = events(answer.stdout)
    assert answer.returncode == 1 and told["event"] == "error"
    assert "labels.csv" in told["message"] and "AU" in told["message"]
    assert f"Error: {told['message']}" in answer.stderr and "Traceback" not in answer.stderr


def test_a_run_that_nobody_reads_saves_and_ends(base: Path, tmp_path: Path) -> None:
    process = subprocess.Popen(
        command(base, "rendered", tmp_path / "run", "--steps", "100000"),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    for line in process.stdout:
        if json.loads(line)["event"] == "step":
            break
    process.stdout.close()
    assert process.wait(60) == 0, process.stderr.read()
    described = json.loads((tmp_path / "run" / "result" / "training.json").read_text())
    assert 1 <= described["step"] < 100000


def test_a_trainer_reports_what_it_judges_and_saves(tmp_path: Path) -> None:
    told: list[dict] = []
    Trainer(ToyRecipe(), SETTINGS, tmp_path, report=told.append, about={"recipe": "toy"}).run()
    names = [event["event"] for event in told]
    assert names.count("step") == SETTINGS.steps and names.count("saved") == 4
    described = json.loads((tmp_path / "result" / "training.json").read_text())
    assert described["recipe"] == "toy"
    again: list[dict] = []
    Trainer(ToyRecipe(), SETTINGS, tmp_path, report=again.append).run()
    assert [event["event"] for event in again] == ["start", "end"]  # nothing left to do


def test_a_run_waits_for_the_one_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = FileLock(tmp_path / LOCK, thread_local=False)
    held.acquire()
    told: list[dict] = []
    threading.Timer(0.3, held.release).start()
    with run._alone(tmp_path, told.append):
        assert told == [{"event": "waiting"}] and not held.is_locked
    held.acquire()
    monkeypatch.setattr(run, "WAIT", 0.1)
    said = "another training works in"
    with pytest.raises(RuntimeError, match=said), run._alone(tmp_path, told.append):
        pass
    held.release()


def test_rendered_stands_for_the_faces_at_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AU_ADAPTER_CACHE", str(tmp_path))
    assert find_faces("rendered", tmp_path) == find_renders() == SAMPLE
    with pytest.raises(FileNotFoundError, match="to render 500 faces, the face model .* missing"):
        find_faces("rendered:500", tmp_path)
    shutil.copytree(SAMPLE, tmp_path / "rendered")
    assert find_faces("rendered", tmp_path) == tmp_path / "rendered"
    assert find_faces("rendered:240", tmp_path) == tmp_path / "rendered"


def test_folders_that_hold_no_faces_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no folder .*nowhere"):
        find_faces(tmp_path / "nowhere", tmp_path)
    write_picture(tmp_path / "a.png")
    with pytest.raises(ValueError, match="one table of labels .*found none"):
        find_faces(tmp_path, tmp_path)
    for name in ("one.csv", "two.csv"):
        write_table(tmp_path / name, [{"file": "a.png", "AU12": 1}])
    with pytest.raises(ValueError, match=r"found one\.csv, two\.csv"):
        find_faces(tmp_path, tmp_path / "run")
    write_table(tmp_path / "labels.csv", [{"file": "a.png", "AU12": 1}])
    assert data_card(find_faces(tmp_path, tmp_path / "run"))["faces"] == 1


def test_a_changed_table_is_prepared_again(photos: Path, tmp_path: Path) -> None:
    first = find_faces(photos, tmp_path / "run")
    assert find_faces(photos, tmp_path / "run") == first
    write_table(photos / "labels.csv", [{"file": "0.png", "AU12": 1}])
    second = find_faces(photos, tmp_path / "run")
    assert second != first and data_card(second)["faces"] == 1


def test_a_tools_table_beside_photos_is_refused(photos: Path, tmp_path: Path) -> None:
    write_table(photos / "labels.csv", [{"input": "0.png", "FaceScore": 1, "AU12": 0.5}])
    with pytest.raises(ValueError, match="labels.csv is a table of py-feat.*--format py-feat"):
        find_faces(photos, tmp_path / "run")


def test_pictures_that_came_later_are_prepared_too(photos: Path, tmp_path: Path) -> None:
    late = (photos / "0.png").rename(tmp_path / "0.png")
    first = find_faces(photos, tmp_path / "run")
    late.rename(photos / "0.png")
    second = find_faces(photos, tmp_path / "run")
    assert [data_card(folder)["faces"] for folder in (first, second)] == [PHOTOS - 2, PHOTOS - 1]
    other = shutil.copytree(photos, tmp_path / "other")
    assert find_faces(other, tmp_path / "run") != second == find_faces(photos, tmp_path / "run")


def test_shards_are_taken_as_they_are(tmp_path: Path) -> None:
    faces = write_faces(tmp_path / "faces", (3, 2))
    assert find_faces(faces, tmp_path) == faces
    card = data_card(faces)
    assert card["faces"] == 5 and card["shards"] == 2 and card["folder"] == "faces"


def test_a_full_disk_is_explained(tmp_path: Path) -> None:
    said = "disk of .* is full.*make room and run this again"
    with pytest.raises(OSError, match=said), explained(tmp_path):
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(OSError, match="something else"), explained(tmp_path):
        raise OSError(errno.EACCES, "something else")


def test_torchs_own_words_for_a_full_disk_are_known(tmp_path: Path) -> None:
    """Written for real past the largest file that this process may write."""
    full = pytest.raises(OSError, match="is full")
    with largest_file(4096), full, explained(tmp_path):
        torch.save(torch.zeros(100_000), tmp_path / "state.pt")


def test_memory_that_is_used_up_is_explained(tmp_path: Path) -> None:
    with pytest.raises(MemoryError, match="used up.*lower batch_size"), explained(tmp_path):
        torch.empty(2**60, dtype=torch.uint8)  # more than any machine has
    with pytest.raises(RuntimeError, match="^shapes$"), explained(tmp_path):
        raise RuntimeError("shapes")


def test_a_follower_hears_the_end_and_the_reason(base: Path, photos: Path, tmp_path: Path) -> None:
    arguments = command(base, photos, tmp_path)[4:]
    arguments = arguments[: arguments.index("--output")] + arguments[arguments.index("--set") :]
    with Training(arguments, tmp_path / "run") as training:
        told = [event["event"] for event in training.events() if event]
    assert told[0] == "data" and told[-1] == "end" and training.process.returncode == 0
    write_table(photos / "labels.csv", [{"file": "0.png", "mood": 1}])
    error = failure(arguments, tmp_path / "run")
    assert "labels.csv" in str(error) and error.kind == "ValueError"


def test_a_follower_hears_of_a_crash_and_of_a_kill(tmp_path: Path) -> None:
    error = failure(["--no-such-option"], tmp_path / "a")
    assert "ended with code 2" in str(error) and "No such option" in str(error)
    assert error.kind == "crash"
    arguments = ["--recipe", "fineface", "--data", "rendered"]
    error = failure(arguments, tmp_path / "b", lambda training: training.process.kill())
    assert "ended by the system" in str(error) and error.kind == "killed" and not error.checking


def test_it_starts_where_python_heeds_neither_path_nor_folder(tmp_path: Path) -> None:
    """-I is how the Python of ComfyUI's portable version behaves."""
    (tmp_path / "probe.py").write_text("import sys; print(__name__, sys.argv[1:])")
    start = [sys.executable, "-I", "-c", START, str(tmp_path), "probe", "train", "--steps", "3"]
    answer = subprocess.run(start, capture_output=True, text=True, cwd=ROOT)
    assert answer.stdout.strip() == "__main__ ['train', '--steps', '3']", answer.stderr


def program(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Another program in the place of the training."""
    monkeypatch.setattr(follow, "COMMAND", (sys.executable, "-c", f"import os, sys\n{text}"))


def test_what_a_library_prints_harms_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = (b"bnb: \xff loaded", b"7", b"{}", b"null", b'{"event": "end", "step": 1}')
    said = b"\n".join(lines)
    program(monkeypatch, f"sys.stdout.buffer.write({said!r})")
    with Training([], tmp_path) as training:
        told = [event for event in training.events() if event]
    assert told == [{"event": "end", "step": 1}]
    assert training.process.stdout.closed


def test_a_run_that_no_signal_reaches_ends_by_its_pipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows without a console: nothing but the closed pipe tells it to end."""
    program(
        monkeypatch,
        "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        'while True: print(\'{"event": "step"}\', flush=True)',
    )
    with Training([], tmp_path) as training:
        assert next(event for event in training.events() if event) == {"event": "step"}
    assert training.process.wait(10) == 1
    assert "BrokenPipeError" in (tmp_path / follow.LOG).read_text()


def test_other_signals_are_not_taken_for_want_of_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (signal.SIGTERM, signal.SIGSEGV):
        last = "print('last', file=sys.stderr, flush=True)"
        program(monkeypatch, f"{last}\nos.kill(os.getpid(), {number:d})")
        error = failure([], tmp_path)
        assert error.kind == "crash" and f"ended with code -{number:d}" in str(error)
        assert "memory" not in str(error) and str(error).endswith("last")


def failure(
    arguments: list[str], output: Path, act: Callable[[Training], None] = lambda training: None
) -> TrainingError:
    """How a training fails; act: what is done to it."""
    with Training(arguments, output) as training, pytest.raises(TrainingError) as caught:
        act(training)
        list(training.events())
    return caught.value
