"""Workflows that people saved with earlier versions: they run, and mean the same.

tests/data/workflows/ has a folder for each version. What is in them is never changed; a new
version with new nodes adds a folder.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from au_adapter_pack.nodes import NODES
from au_adapter_pack.nodes.picture_record import graph_records
from shipped import KEPT, is_link

from tools.server import ComfyServer, comfyui_folder

VERSIONS = sorted(path.name for path in KEPT.iterdir())


def graph(version: str) -> dict[str, dict[str, Any]]:
    """The kept workflow of a version in API format."""
    return json.loads((KEPT / version / "every_node_api.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def server(demo_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComfyServer]:
    server = ComfyServer(base=tmp_path_factory.mktemp("comfyui"))
    adapter = server.base / "models" / "au_adapter" / "kept.safetensors"
    adapter.write_bytes((demo_files / "adapter.safetensors").read_bytes())
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AU_ADAPTER_DEMO", str(demo_files))
        with server:
            yield server


@pytest.mark.parametrize("version", VERSIONS)
def test_it_still_runs(server: ComfyServer, version: str) -> None:
    files = server.run(graph(version))
    record = json.loads(files[0].info["au_adapter"])
    kept = json.loads((KEPT / version / "record.json").read_text(encoding="utf-8"))
    assert [e["aus"]["faces"] for e in record] == [e["aus"]["faces"] for e in kept]
    pictures = [np.asarray(picture.convert("RGB"), int) for picture in files]
    assert [picture.shape for picture in pictures] == [(64, 64, 3)] * 2
    assert np.abs(pictures[0] - pictures[1]).mean() > 0
    assert (server.base / "models" / "au_adapter" / "kept_again.safetensors").is_file()


@pytest.mark.parametrize("version", VERSIONS)
def test_it_still_means_the_same(version: str) -> None:
    """The AUs that the record says now are those it said then."""
    nodes = graph(version)
    for node in nodes.values():  # no file here, and none of its own
        if node["class_type"] == "AUA_ApplyAUAdapter":
            node["inputs"]["au_adapter"] = ["22", 0]
    nodes["22"] = {"class_type": "Elsewhere", "inputs": {}}
    kept = json.loads((KEPT / version / "record.json").read_text(encoding="utf-8"))
    found = graph_records(nodes)
    for record in (*found, *kept):
        record["aus"].pop("units")  # in what order, and which are 0, may change
    assert len(found) == len(kept)
    for now, then in zip(found, kept, strict=True):
        assert {name: now[name] for name in then} == then  # a record may say more than it did


@pytest.mark.parametrize("version", VERSIONS)
def test_both_forms_are_one_workflow(version: str) -> None:
    saved = json.loads((KEPT / version / "every_node.json").read_text(encoding="utf-8"))
    sources = {link[0]: [str(link[1]), link[2]] for link in saved["links"]}
    api = graph(version)
    for node in saved["nodes"]:
        if node["type"] == "MarkdownNote":
            continue
        expected = api[str(node["id"])]
        assert node["type"] == expected["class_type"]
        links = {slot["name"]: sources[slot["link"]] for slot in node["inputs"] if slot.get("link")}
        assert links == {k: v for k, v in expected["inputs"].items() if is_link(v)}


@pytest.mark.parametrize("path", sorted(KEPT.glob("*/*_api.json")), ids=lambda path: path.stem)
def test_every_kept_node_still_takes_its_inputs(server: ComfyServer, path: Path) -> None:
    known = server.get("/object_info")
    for node in json.loads(path.read_text(encoding="utf-8")).values():
        inputs = known[node["class_type"]]["input"]
        names = {*inputs.get("required", {}), *inputs.get("optional", {})}
        assert node["inputs"].keys() <= names, node["class_type"]


# Nodes since the newest kept version; its successor will have them.
SINCE = {
    "AUA_AUText", "AUA_AUFromText", "AUA_LoadAUEditNet", "AUA_InvertFace", "AUA_ApplyAUEditNet",
    "AUA_LoadVQAUFace", "AUA_SampleVQAUFace", "AUA_LabelPictures", "AUA_CountAUVectors",
    "AUA_AUReadingJSON",
}  # fmt: skip


def test_the_newest_ones_have_every_node_of_their_version() -> None:
    kept = (KEPT / VERSIONS[-1]).glob("*_api.json")
    graphs = [json.loads(path.read_text(encoding="utf-8")) for path in kept]
    kinds = {node["class_type"] for nodes in graphs for node in nodes.values()}
    assert {node.define_schema().node_id for node in NODES} == {
        kind for kind in kinds if kind.startswith("AUA_")
    } | SINCE


def test_the_declared_oldest_comfyui_is_not_newer_than_the_one_here() -> None:
    text = (Path(__file__).resolve().parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    declared = next(line for line in text.splitlines() if line.startswith("requires-comfyui"))
    oldest = declared.split(">=")[1].strip('"').split(".")
    code = (comfyui_folder() / "comfyui_version.py").read_text(encoding="utf-8")
    found = code.split('"')[1].split(".")
    assert tuple(map(int, oldest)) <= tuple(map(int, found))
