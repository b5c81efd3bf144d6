"""Train AU-Adapter on a real server: the shipped workflow, its adapter in the next graph, and
everything that can go wrong in another process."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from labelled_faces import write_picture, write_table
from shipped import api_graph, shipped_server

from au_adapter import load_adapter
from tools.server import ComfyServer, PromptError, PromptInterrupted

STEPS = 3
# Run by every Python of this test's server at its start: leaves a training, once it has imported
# what it needs and claims its folder, another gigabyte of memory.
LIMIT = """
import os, resource, sys

def limit(event, arguments):
    if event == "open" and str(arguments[0]).endswith(".lock"):
        pages = int(open("/proc/self/statm").read().split()[0])
        most = pages * resource.getpagesize() + 2**30
        resource.setrlimit(resource.RLIMIT_AS, (most, most))

if "au_adapter" in sys.orig_argv and os.path.exists(os.environ["TEST_LIMIT_MEMORY"]):
    sys.addaudithook(limit)
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComfyServer]:
    base = tmp_path_factory.mktemp("comfyui")
    start = tmp_path_factory.mktemp("start")
    (start / "sitecustomize.py").write_text(LIMIT)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PYTHONPATH", str(start))
        environment.setenv("TEST_LIMIT_MEMORY", str(base / "limit"))
        with shipped_server(base) as server:
            yield server


def training(name: str, **widgets: Any) -> dict[str, dict[str, Any]]:
    """The shipped workflow, shortened, as a run of its own."""
    graph = api_graph("au_train")
    short = {"steps": STEPS, "batch_size": 4, "rank": 4, "validate_every": 0}
    graph["1"]["inputs"] |= {"name": name, "training_dtype": "fp32", **short, **widgets}
    graph["12"]["inputs"]["steps"] = 4
    return graph


def alone(name: str, **widgets: Any) -> dict[str, dict[str, Any]]:
    """The node by itself: it is an output node."""
    return {"1": training(name, **widgets)["1"]}


def failure(server: ComfyServer, graph: dict, **told: Callable) -> str:
    """The sentence with which a graph fails; the server goes on."""
    with pytest.raises(PromptError) as caught:
        server.wait(server.post_prompt(graph), **told)
    assert not isinstance(caught.value, PromptInterrupted)
    assert server.get("/system_stats")
    return str(caught.value)


def run_folder(server: ComfyServer, name: str) -> Path:
    return server.base / "output" / "au_adapter" / name


def adapters(server: ComfyServer, name: str) -> list[str]:
    folder = server.base / "models" / "au_adapter"
    return sorted(path.name for path in folder.glob(f"{name}*.safetensors"))


def trainings(server: ComfyServer) -> list[psutil.Process]:
    """The training processes of the server."""
    children = psutil.Process(server._process.pid).children(recursive=True)
    return [child for child in children if "au_adapter" in child.cmdline()]


def test_the_workflow_trains_and_its_adapter_works(server: ComfyServer) -> None:
    seen: list[tuple[int, int]] = []
    graph = training("proud", validate_every=STEPS, units="12 (set A)")
    prompt = server.post_prompt(graph)
    history = server.wait(prompt, lambda step, steps, node: seen.append((step, steps)))
    assert (STEPS, STEPS) in seen
    loss, judged, picture = (server.images(history, node)[0] for node in ("2", "3", "14"))
    assert loss.size == (840, 520) and picture.size == (128, 128)
    assert judged.size == (190 + 13 * 134 + 6, 2 * 26 + 4 * 134)
    (report,) = history["outputs"]["4"]["text"]
    for said in ("240 faces of rendered", "| 3 |", "kept", "Measured intensity", "proud_00001"):
        assert said in report
    assert adapters(server, "proud") == ["proud_00001.safetensors"]
    file = server.base / "models" / "au_adapter" / "proud_00001.safetensors"
    trained = load_adapter(file).provenance
    assert trained["data"][0]["faces"] == 240 and "12" in trained["measures"]["response"]
    # The next graph: the same picture from the file, by the stock way.
    graph["1"] = {
        "class_type": "AUA_LoadAUAdapter", "inputs": {"file": file.name, "lora_strength": 1.0}
    }  # fmt: skip
    for node in ("2", "3", "4"):
        del graph[node]
    (again,) = server.run(graph)
    assert np.array_equal(np.asarray(again), np.asarray(picture))


def test_an_interrupted_run_saves_and_goes_on(server: ComfyServer) -> None:
    stopped: list[float] = []

    def stop(step: int, steps: int, node: str) -> None:
        if step >= 2 and not stopped:
            server.interrupt()
            stopped.append(time.monotonic())

    with pytest.raises(PromptInterrupted):
        server.wait(server.post_prompt(alone("patient", steps=400)), stop)
    assert time.monotonic() - stopped[0] < 3  # a tenth, and what a busy machine adds
    # At once again, while the first may still be saving.
    graph = alone("patient", steps=400)
    first: list[int] = []

    def end(step: int, steps: int, node: str) -> None:
        first.append(step)
        if len(first) > 1:
            server.interrupt()

    with pytest.raises(PromptInterrupted):
        server.wait(server.post_prompt(graph), end)
    assert first[0] >= 2  # it went on from there
    assert adapters(server, "patient") == []


def test_a_run_that_is_interrupted_in_its_last_check_has_its_file_in_the_end(
    server: ComfyServer,
) -> None:
    """Also: 17 AUs on the bundled model are read by the face landmarker, which lies in models."""
    graph = alone("late", steps=2, validate_every=2, units="17 (sets A and B)")

    def stop(step: int, steps: int, node: str) -> None:
        if step == steps:
            server.interrupt()

    with pytest.raises(PromptInterrupted):
        server.wait(server.post_prompt(graph), stop)
    assert adapters(server, "late") == []
    history = server.wait(server.post_prompt(graph))
    (report,) = history["outputs"]["1"]["text"]
    assert adapters(server, "late") == ["late_00001.safetensors"] and "Saved as late" in report
    assert "by au-adapter mesh estimator" in report and "| 24 |" in report
    assert "Not measured" not in report


def test_out_of_memory_is_a_sentence(server: ComfyServer) -> None:
    limit = server.base / "limit"
    limit.touch()
    try:
        # About 3 GB, of which the estimate finds enough free.
        said = failure(server, alone("large", batch_size=200))
    finally:
        limit.unlink()
    assert "Train AU-Adapter: the memory is used up. Lower batch_size" in said
    assert "training_dtype bf16" in said


def test_a_process_that_the_system_killed_is_the_same_sentence(server: ComfyServer) -> None:
    def kill(step: int, steps: int, node: str) -> None:
        for process in trainings(server):
            process.send_signal(signal.SIGKILL)

    said = failure(server, alone("killed", steps=400), progress=kill)
    assert "Train AU-Adapter: the memory is used up. Lower batch_size" in said


def test_a_full_disk_is_a_sentence_and_what_was_saved_stays(server: ComfyServer) -> None:
    """The state is written to /dev/full, which has room for nothing. Also: a run that is done makes
    no second file, one that begins again does."""
    for _ in range(2):
        server.wait(server.post_prompt(alone("full", steps=2)))
        assert adapters(server, "full") == ["full_00001.safetensors"]
    folder = run_folder(server, "full")
    (folder / "state.partial").symlink_to("/dev/full")
    before = (folder / "state.pt").read_bytes()
    said = failure(server, alone("full", steps=4))
    assert "Train AU-Adapter: the disk of" in said and "is full" in said and "make room" in said
    assert (folder / "state.pt").read_bytes() == before
    assert json.loads((folder / "result" / "training.json").read_text())["step"] == 2
    server.wait(server.post_prompt(alone("full", steps=2, existing_run="begin again")))
    assert adapters(server, "full") == ["full_00001.safetensors", "full_00002.safetensors"]


def photos(server: ComfyServer, name: str, label: str) -> str:
    folder = server.base / "input" / name
    rows = []
    for number in range(6):
        write_picture(folder / f"{number}.png", 30 * number, (128, 128))
        rows.append({"file": f"{number}.png", "caption": "a man", label: 1})
    write_table(folder / "labels.csv", rows)
    return name


def test_a_corrupt_picture_is_left_out_and_said(server: ComfyServer) -> None:
    folder = server.base / "input" / photos(server, "faces/mine", "AU12")
    os.truncate(folder / "3.png", 50)
    history = server.wait(server.post_prompt(alone("mine", data="faces/mine", steps=2)))
    (report,) = history["outputs"]["1"]["text"]
    assert "5 faces of mine" in report and "1 unreadable picture" in report
    assert adapters(server, "mine") == ["mine_00001.safetensors"]


def test_a_missing_column_is_a_sentence(server: ComfyServer) -> None:
    photos(server, "unlabelled", "mood")
    said = failure(server, alone("none", data="unlabelled"))
    assert "Train AU-Adapter:" in said and "labels.csv" in said and "mood" in said


def test_a_name_that_leaves_the_folder_is_refused(server: ComfyServer) -> None:
    for name in ("../escaped", " "):
        assert "is not a name inside models/au_adapter" in failure(server, alone(name))


def was_kept(server: ComfyServer, graph: dict) -> bool:
    """Whether ComfyUI gave the node's outputs of before."""
    messages = dict(server.wait(server.post_prompt(graph))["status"]["messages"])
    return "1" in messages["execution_cached"]["nodes"]


def test_where_outputs_are_kept_changed_faces_count(tmp_path: Path) -> None:
    """On a server as people run it: the same faces and the same run are not asked for twice."""
    with shipped_server(tmp_path, caching=True) as server:
        table = server.base / "input" / photos(server, "faces", "AU12") / "labels.csv"
        graph = alone("kept", data="faces", steps=2)
        assert not was_kept(server, graph) and was_kept(server, graph)
        write_table(table, [{"file": "0.png", "caption": "a man", "AU12": 2}])
        assert not was_kept(server, graph) and was_kept(server, graph)
        (server.base / "models" / "au_adapter" / "kept_00001.safetensors").unlink()
        assert not was_kept(server, graph) and adapters(server, "kept")
        graph["1"]["inputs"]["existing_run"] = "begin again"
        assert not was_kept(server, graph) and not was_kept(server, graph)
        assert adapters(server, "kept")[-1] == "kept_00003.safetensors"
