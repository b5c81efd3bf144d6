"""The AUs, the adapter's hash and its strengths in a picture's metadata."""

from __future__ import annotations

import gc
import json
from pathlib import Path

import pytest
from au_adapter_pack.nodes import picture_record
from au_adapter_pack.nodes.compat import folder_paths
from au_adapter_pack.nodes.picture_record import graph_records, reserve_record, write_record
from comfy_execution.utils import CurrentNodeContext

from au_adapter import AUVector
from au_adapter.weights.adapter_files import adapter_hash

Graph = dict[str, dict]


@pytest.fixture(autouse=True)
def adapters(demo_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The bundled model, and a model folder with an adapter in it."""
    monkeypatch.setenv("AU_ADAPTER_DEMO", str(demo_files))
    (tmp_path / "file.safetensors").write_bytes((demo_files / "adapter.safetensors").read_bytes())
    folder = ([str(tmp_path)], {".safetensors"})
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "au_adapter", folder)
    return tmp_path


def graph(source: tuple[str, dict] = ("AUA_LoadDemoModel", {}), slot: int = 3) -> Graph:
    adapter, strengths = ["1", slot], {"strength": 0.8, "start": 0.0, "end": 1.0}
    nodes = {
        "1": source,
        "4": ("AUA_AUVector", {"au12": 4.0, "notation": "L4B"}),
        "5": ("AUA_AUEncoder", {"au_adapter": adapter, "au_vector": ["4", 0]}),
        "6": ("AUA_ApplyAUAdapter", {"au_adapter": adapter, "au_tokens": ["5", 0], **strengths}),
    }
    return {key: {"class_type": kind, "inputs": inputs} for key, (kind, inputs) in nodes.items()}


def test_the_aus_the_adapter_and_the_strengths(demo_files: Path) -> None:
    (record,) = graph_records(graph())
    assert AUVector.from_json(record.pop("aus")).dict() == {"12": 4.0, "L4": 2.0}
    assert record == {
        "node": "6",
        "adapter": adapter_hash(demo_files / "adapter.safetensors"),
        "lora_strength": 1.0,
        "strength": 0.8,
        "start": 0.0,
        "end": 1.0,
        "calibrated": False,
    }


def test_a_calibration_switched_from_elsewhere() -> None:
    nodes = graph()
    nodes["5"]["inputs"]["calibrated"] = ["9", 0]
    for kind, said in (("PrimitiveBoolean", True), ("SomeSwitch", None)):
        nodes["9"] = {"class_type": kind, "inputs": {"value": True}}
        assert graph_records(nodes)[0]["calibrated"] is said


def test_an_adapter_from_a_file(demo_files: Path) -> None:
    source = ("AUA_LoadAUAdapter", {"file": "file.safetensors", "lora_strength": 0.25})
    (record,) = graph_records(graph(source, 0))
    assert record["adapter"] == adapter_hash(demo_files / "adapter.safetensors")
    assert record["lora_strength"] == 0.25


def test_a_sweep_on_a_vector() -> None:
    swept = graph()
    inputs = {"unit": "AU6 cheek raiser and lid compressor", "start": 0, "stop": 2, "steps": 2}
    swept["7"] = {"class_type": "AUA_AUSweep", "inputs": {**inputs, "au_vector": ["4", 0]}}
    swept["5"]["inputs"]["au_vector"] = ["7", 0]
    vector = AUVector.from_json(graph_records(swept)[0]["aus"])
    assert [vector.dict(face).get("6", 0.0) for face in (0, 1)] == [0.0, 2.0]
    assert vector.dict(1)["12"] == 4.0


def with_vector(kind: str, slot: int = 0, **inputs: object) -> Graph:
    """The graph with another node between AU Vector (node 4) and AU Encoder."""
    changed = graph()
    changed["7"] = {"class_type": kind, "inputs": inputs}
    changed["5"]["inputs"]["au_vector"] = ["7", slot]
    return changed


def recorded(graph: Graph) -> AUVector:
    return AUVector.from_json(graph_records(graph)[0]["aus"])


def test_an_expression_on_a_vector() -> None:
    inputs = {"expression": "polite smile", "strength": 0.5, "units": "set A"}
    vector = recorded(with_vector("AUA_AUExpression", **inputs, au_vector=["4", 0]))
    assert vector.dict() == {"12": 5.5, "L4": 2.0}


def test_a_face_in_words() -> None:
    vector = recorded(with_vector("AUA_AUFromText", text="broad smile"))
    assert vector.dict() == {"12": 4.0}
    linked = with_vector("AUA_AUFromText", text=["8", 0])
    linked["8"] = {"class_type": "SomeWriter", "inputs": {}}
    assert graph_records(linked)[0]["aus"] is None


def test_keyframes_with_their_number_from_a_primitive() -> None:
    inputs = {"frames": ["8", 0], "keyframes": "0:\n2: 6D", "easing": "linear"}
    clip = with_vector("AUA_AUKeyframes", **inputs, au_vector=["4", 0])
    clip["8"] = {"class_type": "PrimitiveInt", "inputs": {"value": 3}}
    vector = recorded(clip)
    assert [vector.dict(frame).get("6", 0.0) for frame in range(3)] == [0, 2, 4]
    assert vector.dict(2)["12"] == 4.0
    clip["7"]["inputs"]["weights"] = ["9", 0]  # of another pack: known when it runs
    assert graph_records(clip)[0]["aus"] is None


@pytest.mark.parametrize(("slot", "expected"), [(0, {"4": 2.0, "12": 4.0}), (1, {"12": 4.0})])
def test_one_side_of_a_vector(slot: int, expected: dict) -> None:
    assert recorded(with_vector("AUA_AUSides", slot, au_vector=["4", 0])).dict() == expected


def test_what_the_graph_does_not_tell_is_null() -> None:
    linked = graph(("SomeTrainer", {}))
    linked["4"]["inputs"]["au12"] = ["9", 0]
    linked["6"]["inputs"]["strength"] = ["9", 0]
    (record,) = graph_records(linked)
    assert record["adapter"] is record["aus"] is record["strength"] is None


def test_the_record_is_added_beside_the_workflow() -> None:
    request = reserve_record({"prompt": graph(), "extra_data": {"extra_pnginfo": {"workflow": 1}}})
    information = request["extra_data"]["extra_pnginfo"]
    assert information["workflow"] == 1 and information["au_adapter"] == []
    with CurrentNodeContext(request["prompt_id"], "6"):
        write_record()
        write_record()  # by a second node
    assert json.loads(json.dumps(information["au_adapter"])) == graph_records(graph())


def test_a_graph_is_described_when_it_runs_and_not_before(monkeypatch: pytest.MonkeyPatch) -> None:
    described: list[Graph] = []
    monkeypatch.setattr(
        picture_record, "graph_records", lambda nodes: described.append(nodes) or []
    )
    request = reserve_record({"prompt": graph(), "prompt_id": "one"})
    assert described == [] and request["prompt_id"] == "one"
    write_record()  # outside of any graph
    with CurrentNodeContext("another", "6"):
        write_record()
    assert described == []
    with CurrentNodeContext("one", "6"):
        write_record()
    assert described == [request["prompt"]]


def test_a_graph_that_never_runs_is_forgotten() -> None:
    request = reserve_record({"prompt": graph(), "prompt_id": "never"})
    assert "never" in picture_record._waiting
    del request
    gc.collect()
    assert "never" not in picture_record._waiting


def test_a_failure_leaves_the_record_empty_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    wrong = graph()
    wrong["4"]["inputs"]["notation"] = "99E"
    request = reserve_record({"prompt": wrong})
    with CurrentNodeContext(request["prompt_id"], "6"):
        write_record()
    assert request["extra_data"]["extra_pnginfo"]["au_adapter"] == []
    assert "the pictures get no record of their AUs: ValueError" in caplog.text


@pytest.mark.parametrize(
    "prompt", [{"1": {"class_type": "EmptyImage", "inputs": {}}}, {"1": None}, [], None]
)
def test_a_graph_without_adapter_is_left_alone(prompt: object) -> None:
    assert reserve_record({"prompt": prompt}) == {"prompt": prompt}
