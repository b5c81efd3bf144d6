"""The record in a picture's metadata: AUs, weights and strengths, beside the workflow.

It is read from the graph when it is queued, because a cached node does not run again. Each node
declares what it does to pictures (`Node.record`) and what it emits.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from .compat import PromptServer
from .node import Node
from .queued_graph import QueuedGraph

logger = logging.getLogger("au_adapter")

KEY = "au_adapter"  # the name of the record in a picture's metadata
# What a graph raises that ComfyUI will refuse; a ring of nodes is the last.
UNUSABLE = (AttributeError, KeyError, TypeError, ValueError, OSError, RecursionError)
_KINDS: dict[str, type[Node]] = {}


def register(nodes: Iterable[type[Node]]) -> None:
    """Have every queued graph described; without a server only `describe` does."""
    _KINDS.update((node.define_schema().node_id, node) for node in nodes)
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


def describe(nodes: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """One entry for each Apply AU-Adapter, and each Apply MagicFace, of a graph in API format.

    The names of the former: node, adapter (hash), lora_strength, strength, start, end, aus
    (AUVector's JSON), calibrated (whether AU Encoder asked by the adapter's response curves). Of
    the latter: node, magicface (hash), change (AUVector's JSON), guidance (the sampler's CFG). Null
    is what the graph alone does not tell, such as AUs read off a picture.
    """
    graph = QueuedGraph(nodes, _KINDS)
    told = ((key, kind.record(graph, key)) for key in nodes if (kind := graph.kind(key)))
    return [{"node": key, **record} for key, record in told if record]
