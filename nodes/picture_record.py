"""What pictures say about themselves: the AUs, the adapter and its strengths, beside the workflow.

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

from .au_adapter import adapter_path
from .au_vector import AUSweep, AUVectorNode
from .compat import PromptServer
from .expression import AUExpression
from .keyframes import AUKeyframes
from .sides import AUSides

logger = logging.getLogger("au_adapter")

Graph = dict[str, dict[str, Any]]
KEY = "au_adapter"  # the name of the record in a picture's metadata
VECTOR_NODES = {
    node.define_schema().node_id: node
    for node in (AUVectorNode, AUSweep, AUExpression, AUKeyframes, AUSides)
}
PRIMITIVES = ("PrimitiveInt", "PrimitiveFloat", "PrimitiveString", "PrimitiveStringMultiline")


def register() -> None:
    """Have every queued graph described; without a server there is nothing to do."""
    if server := getattr(PromptServer, "instance", None):
        server.add_on_prompt_handler(add_record)


def add_record(request: dict[str, Any]) -> dict[str, Any]:
    """Put the record of a queued graph where core's nodes that save pictures find it."""
    try:
        record = describe(request.get("prompt") or {})
    except (AttributeError, KeyError, TypeError, ValueError, OSError) as error:
        logger.debug("a graph that cannot run gets no record: %s", error)
        return request
    if record:
        extra = request.setdefault("extra_data", {})
        extra["extra_pnginfo"] = {**(extra.get("extra_pnginfo") or {}), KEY: record}
    return request


def describe(graph: Graph) -> list[dict[str, Any]]:
    """One entry for each Apply AU-Adapter of a graph in API format.

    Its names: node, adapter (hash), lora_strength, strength, start, end, aus (AUVector's JSON).
    Null is what the graph alone does not tell, such as AUs read off a picture.
    """
    return [
        {
            "node": key,
            **_adapter(graph, _source(graph, node, "au_adapter")),
            **{name: _constant(graph, node, name) for name in ("strength", "start", "end")},
            "aus": _aus(graph, _source(graph, node, "au_tokens")),
        }
        for key, node in graph.items()
        if node.get("class_type") == "AUA_ApplyAUAdapter"
    ]


def _source(graph: Graph, node: dict[str, Any], name: str) -> dict[str, Any]:
    """The node that is connected to an input; empty if none is."""
    link = node.get("inputs", {}).get(name)
    return graph.get(link[0], {}) if isinstance(link, list) else {}


def _constant(graph: Graph, node: dict[str, Any], name: str) -> Any:
    """The value of an input, of its own or from core's node for a single value; None if linked to
    anything else."""
    value = node["inputs"].get(name)
    if not isinstance(value, list):
        return value
    source = _source(graph, node, name)
    return _constant(graph, source, "value") if source.get("class_type") in PRIMITIVES else None


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


def _aus(graph: Graph, encoder: dict[str, Any]) -> dict[str, Any] | None:
    vector = _vector(graph, encoder, "au_vector")
    return None if vector is None else json.loads(vector.to_json())


def _vector(graph: Graph, node: dict[str, Any], name: str) -> Any:
    """The AU vector that an input will get, as far as constants determine it."""
    source = _source(graph, node, name)
    if source.get("class_type") not in VECTOR_NODES:
        return None
    inputs = {
        key: _vector(graph, source, key) if key == "au_vector" else _constant(graph, source, key)
        for key in source["inputs"]
    }
    if any(isinstance(source["inputs"][key], list) and inputs[key] is None for key in inputs):
        return None
    kind = VECTOR_NODES[source["class_type"]]
    if kind.define_schema().is_input_list:
        inputs = {key: [value] for key, value in inputs.items()}
    return kind.execute(**inputs).args[node["inputs"][name][1]]
