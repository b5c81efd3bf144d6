"""What pictures say about themselves: AUs, weights and their strengths, beside the workflow.

A node that is cached does not run again, so the record is read off the graph when it is queued.
"""

from __future__ import annotations

import json
import logging
from functools import lru_cache
from pathlib import Path
from typing import Any

from au_adapter.demo import demo_folder
from au_adapter.weights.files import adapter_files, adapter_hash
from au_adapter.weights.magicface import DENOISING, ID_ENCODER, magicface_hash, read_part

from .au_adapter import adapter_path
from .au_change import AUChange
from .au_text import AUFromText
from .au_vector import AUSweep, AUVectorNode
from .compat import PromptServer
from .expression import AUExpression
from .keyframes import AUKeyframes
from .magicface import magicface_path
from .protocol import AUProtocol
from .sides import AUSides

logger = logging.getLogger("au_adapter")

Graph = dict[str, dict[str, Any]]
KEY = "au_adapter"  # the name of the record in a picture's metadata
VECTOR_NODES = {
    node.define_schema().node_id: node
    for node in (
        *(AUVectorNode, AUSweep, AUExpression, AUFromText, AUKeyframes),
        *(AUSides, AUChange, AUProtocol),
    )
}
VECTOR_INPUTS = ("au_vector", "source")
MAGICFACE_FILES = ("denoising_file", "id_encoder_file")
# What a graph raises that ComfyUI will refuse; a ring of nodes is the last.
UNUSABLE = (AttributeError, KeyError, TypeError, ValueError, OSError, RecursionError)
PRIMITIVES = (
    "PrimitiveBoolean",
    "PrimitiveFloat",
    "PrimitiveInt",
    "PrimitiveString",
    "PrimitiveStringMultiline",
)


def register() -> None:
    """Have every queued graph described; without a server there is nothing to do."""
    if server := getattr(PromptServer, "instance", None):
        server.add_on_prompt_handler(add_record)


def add_record(request: dict[str, Any]) -> dict[str, Any]:
    """Put the record of a queued graph where core's nodes that save pictures find it."""
    try:
        record = describe(request.get("prompt") or {})
    except UNUSABLE as error:
        logger.debug("a graph that cannot run gets no record: %s", error)
        return request
    if record:
        extra = request.setdefault("extra_data", {})
        extra["extra_pnginfo"] = {**(extra.get("extra_pnginfo") or {}), KEY: record}
    return request


def describe(graph: Graph) -> list[dict[str, Any]]:
    """One entry for each Apply AU-Adapter, and each Apply MagicFace, of a graph in API format.

    The names of the former: node, adapter (hash), lora_strength, strength, start, end, aus
    (AUVector's JSON), calibrated (whether AU Encoder asked by the adapter's response curves). Of
    the latter: node, magicface (hash), change (AUVector's JSON), guidance (the sampler's CFG). Null
    is what the graph alone does not tell, such as AUs read off a picture.
    """
    kinds = {"AUA_ApplyAUAdapter": _generation, "AUA_ApplyMagicFace": _edit}
    return [
        {"node": key, **kinds[node["class_type"]](graph, key)}
        for key, node in graph.items()
        if node.get("class_type") in kinds
    ]


def _generation(graph: Graph, key: str) -> dict[str, Any]:
    """What an Apply AU-Adapter does."""
    node = graph[key]
    encoder = _source(graph, node, "au_tokens")
    return {
        **_adapter(graph, _uncalibrated(graph, _source(graph, node, "au_adapter"))),
        **{name: _constant(graph, node, name) for name in ("strength", "start", "end")},
        "aus": _aus(graph, encoder),
        "calibrated": _calibrated(graph, encoder),
    }


def _edit(graph: Graph, key: str) -> dict[str, Any]:
    """What an Apply MagicFace does."""
    guidance = _guidance(graph, key)
    return {
        "magicface": _magicface(graph, _loader(graph, graph[key])),
        "change": _aus(graph, graph[key]),
        "guidance": guidance.pop() if len(guidance) == 1 else None,
    }


def _loader(graph: Graph, node: dict[str, Any]) -> dict[str, Any]:
    """Load MagicFace, beyond LoRAs and the like on the MODEL; empty if there is none."""
    if not node or node.get("class_type") == "AUA_LoadMagicFace":
        return node
    return _loader(graph, _source(graph, node, "model"))


def _magicface(graph: Graph, loader: dict[str, Any]) -> str | None:
    files = [_constant(graph, loader, name) for name in MAGICFACE_FILES if loader]
    if not files or None in files:
        return None
    paths = [magicface_path(file) for file in files]
    return _magicface_hash(*paths, tuple(path.stat().st_mtime_ns for path in paths))


def _guidance(graph: Graph, key: str) -> set[float | None]:
    """The CFGs of the samplers and guiders that a node's outputs reach first."""
    following = [
        name
        for name, node in graph.items()
        if any(_is_link(v) and v[0] == key for v in node.get("inputs", {}).values())
    ]
    found: set[float | None] = set()
    for name in following:
        ends = "cfg" in graph[name]["inputs"]
        found |= {_constant(graph, graph[name], "cfg")} if ends else _guidance(graph, name)
    return found


def _source(graph: Graph, node: dict[str, Any], name: str) -> dict[str, Any]:
    """The node that is connected to an input; empty if none is."""
    link = node.get("inputs", {}).get(name)
    return graph.get(link[0], {}) if _is_link(link) else {}


def _is_link(value: Any) -> bool:
    """Whether the value of an input is the output of another node, and not a list of its own."""
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str)


def _constant(graph: Graph, node: dict[str, Any], name: str) -> Any:
    """The value of an input, of its own or from core's node for a single value; None if linked to
    anything else."""
    value = node["inputs"].get(name)
    if not isinstance(value, list):
        return value
    source = _source(graph, node, name)
    return _constant(graph, source, "value") if source.get("class_type") in PRIMITIVES else None


def _uncalibrated(graph: Graph, node: dict[str, Any]) -> dict[str, Any]:
    """The node that loads the adapter, where it was calibrated on its way: the weights are its."""
    while node.get("class_type") == "AUA_CalibrateAUAdapter":
        node = _source(graph, node, "au_adapter")
    return node


def _calibrated(graph: Graph, encoder: dict[str, Any]) -> bool | None:
    inputs = encoder.get("inputs")
    if not inputs:
        return None
    return _constant(graph, encoder, "calibrated") if "calibrated" in inputs else False


def _adapter(graph: Graph, node: dict[str, Any]) -> dict[str, Any]:
    if node.get("class_type") == "AUA_LoadDemoModel":
        path, strength = demo_folder() / "adapter.safetensors", 1.0
    elif node.get("class_type") == "AUA_LoadAUAdapter" and (file := _constant(graph, node, "file")):
        path, strength = adapter_path(file), _constant(graph, node, "lora_strength")
    else:
        return {"adapter": None, "lora_strength": None}
    changed = tuple(file.stat().st_mtime_ns for file in adapter_files(path))
    return {"adapter": _hash(path, changed), "lora_strength": strength}


@lru_cache(maxsize=16)
def _hash(path: Path, changed: tuple[int, ...]) -> str:
    """Of an adapter as its files were when they `changed`."""
    return adapter_hash(path)


@lru_cache(maxsize=16)
def _magicface_hash(denoising: Path, id_encoder: Path, changed: tuple[int, ...]) -> str:
    """Of a MagicFace as its files were when they `changed`."""
    return magicface_hash((read_part(denoising, DENOISING), read_part(id_encoder, ID_ENCODER)))


def _aus(graph: Graph, node: dict[str, Any]) -> dict[str, Any] | None:
    """The AU vector that a node gets."""
    vector = _vector(graph, node, "au_vector")
    return None if vector is None else json.loads(vector.to_json())


def _vector(graph: Graph, node: dict[str, Any], name: str) -> Any:
    """The AU vector that an input will get, as far as constants determine it."""
    source = _source(graph, node, name)
    if source.get("class_type") not in VECTOR_NODES:
        return None
    inputs = {
        key: _vector(graph, source, key) if key in VECTOR_INPUTS else _constant(graph, source, key)
        for key in source["inputs"]
    }
    if any(isinstance(source["inputs"][key], list) and inputs[key] is None for key in inputs):
        return None
    kind = VECTOR_NODES[source["class_type"]]
    if kind.define_schema().is_input_list:
        inputs = {key: [value] for key, value in inputs.items()}
    return kind.execute(**inputs).args[node["inputs"][name][1]]
