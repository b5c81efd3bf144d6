"""A queued graph in API format, read before it runs: links, constants, and AU vectors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from au_adapter.facs import AUVector

from .compat import io
from .sockets import AUVectorSocket

Graph = Mapping[str, dict[str, Any]]  # by key: class_type and inputs
PRIMITIVES = [
    f"Primitive{kind}" for kind in ("Boolean", "Float", "Int", "String", "StringMultiline")
]


class QueuedGraph:
    """The nodes of a graph by their keys. kinds: our node classes by id.

    A ValueError, KeyError or TypeError means that it cannot run.
    """

    def __init__(
        self, nodes: Mapping[str, dict[str, Any]], kinds: Mapping[str, type[io.ComfyNode]]
    ):
        self.nodes, self.kinds = nodes, kinds
        self._vectors: dict[str, tuple[Any, ...] | None] = {}

    def kind(self, key: str | None) -> type[io.ComfyNode] | None:
        """The class of a node of ours; None for another pack's, and where there is none."""
        return self.kinds.get(self.nodes.get(key, {}).get("class_type"))

    def weight_files(self, loader: str | None) -> tuple[Path, ...]:
        """The files of a loader of ours; none for other nodes and where the graph does not tell."""
        kind = self.kind(loader)
        widgets = self.widgets(loader) if kind else {}
        return () if kind is None or None in widgets.values() else kind.weight_files(**widgets)

    def link(self, key: str | None, name: str) -> tuple[str, int] | None:
        """The node, and which of its outputs, that is connected to an input of a node."""
        value = self.nodes.get(key, {}).get("inputs", {}).get(name)
        return (value[0], value[1]) if _is_link(value) else None

    def source(self, key: str | None, name: str) -> str | None:
        """The key of the node that is connected to an input; None if none is."""
        link = self.link(key, name)
        return link and link[0]

    def upstream(self, key: str, name: str) -> Iterator[str]:
        """The nodes before a node, each at the input `name` of the next. ValueError for a ring."""
        seen = {key}
        while (key := self.source(key, name)) is not None:
            if key in seen:
                raise ValueError(f"node {key} is connected to itself")
            seen.add(key)
            yield key

    def constant(self, key: str, name: str) -> Any:
        """The value of an input, its own or from core's node for a single value; None if it is
        linked to anything else."""
        value = self.nodes[key]["inputs"].get(name)
        if not isinstance(value, list):
            return value
        source = self.source(key, name)
        known = self.nodes.get(source, {}).get("class_type") in PRIMITIVES
        return self.constant(source, "value") if known else None

    def widgets(self, key: str) -> dict[str, Any]:
        """The constants of a node's inputs by name, None where the graph does not tell."""
        return {name: self.constant(key, name) for name in self.nodes[key]["inputs"]}

    def followers(self, key: str) -> Iterable[str]:
        """The nodes that take an output of a node."""
        for name, node in self.nodes.items():
            if any(_is_link(v) and v[0] == key for v in node.get("inputs", {}).values()):
                yield name

    def vector(self, key: str | None, name: str) -> AUVector | None:
        """The AU vector that an input will get, as far as constants determine it. Each node that
        emits vectors is run once."""
        if (link := self.link(key, name)) is None:
            return None
        source, output = link
        kind = self.kind(source)
        if kind is None or not kind.emits_vectors:
            return None
        if source not in self._vectors:
            self._vectors[source] = None  # what a ring of nodes finds
            self._vectors[source] = self._run(source, kind)
        outputs = self._vectors[source]
        return None if outputs is None else outputs[output]

    def _run(self, key: str, kind: type[io.ComfyNode]) -> tuple[Any, ...] | None:
        schema, inputs = kind.define_schema(), self.widgets(key)
        for given in schema.inputs:
            if given.io_type == AUVectorSocket.io_type and given.id in inputs:
                inputs[given.id] = self.vector(key, given.id)
            else:
                _check_limits(given, inputs.get(given.id))
        given = self.nodes[key]["inputs"].items()
        if any(isinstance(value, list) and inputs[name] is None for name, value in given):
            return None
        if schema.is_input_list:
            inputs = {name: [value] for name, value in inputs.items()}
        return kind.execute(**inputs).args


def file_times(files: Iterable[Path]) -> tuple[int, ...]:
    """When files were last changed: what is known of them holds until then."""
    return tuple(file.stat().st_mtime_ns for file in files)


def _is_link(value: Any) -> bool:
    """Whether the value of an input is the output of another node, and not a list of its own."""
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str)


def _check_limits(given: Any, value: Any) -> None:
    """ValueError for a number that the widget does not allow: ComfyUI will refuse it."""
    least, most = getattr(given, "min", None), getattr(given, "max", None)
    if isinstance(value, (int, float)) and least is not None and not least <= value <= most:
        raise ValueError(f"{given.id} is {value}, not from {least} to {most}")
