"""The demo's graphs: the shipped API workflows with other AUs, prompts and seeds filled in."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from au_adapter.facs import UNITS

Graph = dict[str, dict[str, Any]]
WORKFLOWS = Path(__file__).parents[1] / "workflows" / "api"
PASTED, DRAWN = "pasted", "drawn"  # the nodes of an edit that give pictures
OUTPUTS = ("SaveImage", "PreviewImage", "PreviewAny")
SWEEP_LEVELS = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0)


def load_workflow(name: str) -> Graph:
    """A shipped workflow in ComfyUI's API format. Raises FileNotFoundError with what to do."""
    path = WORKFLOWS / f"{name}.json"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: run the demo from a clone of the project")
    return json.loads(path.read_text(encoding="utf-8"))


def node_of(graph: Graph, kind: str) -> dict[str, Any]:
    """The inputs of the graph's only node of a kind."""
    found = [node["inputs"] for node in graph.values() if node["class_type"] == kind]
    if len(found) != 1:
        raise ValueError(f"expected one {kind} in the graph, found {len(found)}")
    return found[0]


def sweep_graph(unit: int, prompt: str, seed: int, prefix: str) -> Graph:
    """au_sweep with one unit from 0 to 5: six pictures of one noise."""
    graph = _graph("au_sweep", prompt, seed, prefix)
    first, last = SWEEP_LEVELS[0], SWEEP_LEVELS[-1]
    name = f"AU{unit} {UNITS[unit].name.lower()}"
    node_of(graph, "AUA_AUSweep").update(unit=name, start=first, stop=last, steps=len(SWEEP_LEVELS))
    node_of(graph, "EmptyLatentImage")["batch_size"] = len(SWEEP_LEVELS)
    return graph


def face_graph(notation: str, prompt: str, seed: int, prefix: str, strength: float = 1.0) -> Graph:
    """au_generate with AUs in FACS notation: one picture. Strength 0 is the base model alone."""
    graph = _graph("au_generate", prompt, seed, prefix)
    sliders = node_of(graph, "AUA_AUVector")
    for name in [name for name in sliders if name.startswith("au") and name != "au_vector"]:
        sliders[name] = 0.0
    sliders["notation"] = notation
    node_of(graph, "AUA_ApplyAUAdapter")["strength"] = strength
    node_of(graph, "EmptyLatentImage")["batch_size"] = 1
    return graph


def edit_graph(photo: str, changes: Sequence[str], **sampler: Any) -> Graph:
    """magicface_sweep on a file of ComfyUI's input folder, with changes in FACS notation: a picture
    for each, all of one noise, from the node PASTED; before Paste Face from the node DRAWN.

    sampler: inputs of KSampler such as seed and steps.
    """
    graph = copy.deepcopy(load_workflow("magicface_sweep"))
    paste = node_of(graph, "AUA_PasteFace")
    photo_link, change_link, edited = (paste[name] for name in ("image", "au_vector", "edited"))
    frames = "\n".join(f"{number}: {notation} hold" for number, notation in enumerate(changes))
    graph["photo"] = {"class_type": "LoadImage", "inputs": {"image": photo}}
    graph["changes"] = {
        "class_type": "AUA_AUKeyframes",
        "inputs": {"frames": len(changes), "keyframes": frames, "easing": "hold"},
    }
    drawer = graph[edited[0]]["inputs"]["samples"][0]
    graph[drawer]["inputs"].update(sampler)
    _relink(graph, {tuple(photo_link): ["photo", 0], tuple(change_link): ["changes", 0]})
    ends = {PASTED: node_of(graph, "SaveImage")["images"], DRAWN: edited}
    dropped = {photo_link[0], change_link[0]}
    dropped |= {key for key, node in graph.items() if node["class_type"] in OUTPUTS}
    kept = {key: node for key, node in graph.items() if key not in dropped}
    return kept | {
        key: {"class_type": "PreviewImage", "inputs": {"images": link}}
        for key, link in ends.items()
    }


def _relink(graph: Graph, links: dict[tuple, list]) -> None:
    """Let whatever takes something from one place take it from another."""
    for node in graph.values():
        for name, value in node["inputs"].items():
            if isinstance(value, list) and tuple(value) in links:
                node["inputs"][name] = links[tuple(value)]


def _graph(name: str, prompt: str, seed: int, prefix: str) -> Graph:
    graph = copy.deepcopy(load_workflow(name))
    positive, _ = node_of(graph, "AUA_ApplyAUAdapter")["positive"]
    graph[positive]["inputs"]["text"] = prompt
    node_of(graph, "KSampler")["seed"] = seed
    node_of(graph, "SaveImage")["filename_prefix"] = prefix
    return graph
