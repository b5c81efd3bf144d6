"""The record in a picture's metadata: AUs, weights and strengths, beside the workflow.

It is read from the graph, because a cached node does not run again, and only when the graph runs,
because until then it may be anything. Each node declares what it does to pictures (`Node.record`)
and what it emits.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable
from typing import Any
from weakref import WeakValueDictionary

from .compat import PromptServer, get_executing_context
from .node import Node
from .queued_graph import QueuedGraph

logger = logging.getLogger("au_adapter")

KEY = "au_adapter"  # the name of the record in a picture's metadata
_KINDS: dict[str, type[Node]] = {}


class PictureRecord(list):
    """The record of one queued graph, empty until it runs; gone with its place in the queue."""

    def __init__(self, nodes: dict[str, dict[str, Any]]) -> None:
        super().__init__()
        self.nodes = nodes


_waiting: WeakValueDictionary[str, PictureRecord] = WeakValueDictionary()  # by the prompt's id


def register(nodes: Iterable[type[Node]]) -> None:
    """Have every queued graph described; without a server only `graph_records` does."""
    _KINDS.update((node.define_schema().node_id, node) for node in nodes)
    if server := getattr(PromptServer, "instance", None):
        server.add_on_prompt_handler(reserve_record)


def reserve_record(request: dict[str, Any]) -> dict[str, Any]:
    """Put an empty record where core's nodes that save pictures will find it. The graph is still
    unchecked, and other clients wait: nothing of it is computed here."""
    nodes = request.get("prompt")
    if not isinstance(nodes, dict) or not any(map(_is_recorded, nodes.values())):
        return request
    record = PictureRecord(nodes)
    request["prompt_id"] = request.get("prompt_id") or str(uuid.uuid4())
    _waiting[str(request["prompt_id"])] = record
    extra = request.setdefault("extra_data", {})
    extra["extra_pnginfo"] = {**(extra.get("extra_pnginfo") or {}), KEY: record}
    return request


def write_record() -> None:
    """Describe the graph that runs, once. Nodes with a record call it before anything of the graph
    has run, or at the latest when they run."""
    context = get_executing_context()
    record = context and _waiting.pop(context.prompt_id, None)
    if record is None:
        return
    try:
        record.extend(graph_records(record.nodes))
    except Exception as error:  # of whatever kind: the pictures are worth more than their record
        logger.warning(
            "the pictures get no record of their AUs: %s: %s", type(error).__name__, error
        )


def _is_recorded(node: Any) -> bool:
    kind = _KINDS.get(node.get("class_type")) if isinstance(node, dict) else None
    return kind is not None and kind.record.__func__ is not Node.record.__func__


def graph_records(nodes: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """One entry for each Apply AU-Adapter, and each Apply MagicFace, of a graph in API format.

    The names of the former: node, adapter (hash), lora_strength, strength, start, end, aus
    (AUVector's JSON), calibrated (whether AU Encoder asked by the adapter's response curves). Of
    the latter: node, magicface (hash), change (AUVector's JSON), guidance (the sampler's CFG). Null
    is what the graph alone does not tell, such as AUs read off a picture.
    """
    graph = QueuedGraph(nodes, _KINDS)
    told = ((key, kind.record(graph, key)) for key in nodes if (kind := graph.kind(key)))
    return [{"node": key, **record} for key, record in told if record]
