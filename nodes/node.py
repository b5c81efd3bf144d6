"""The base class of our nodes: errors begin with the node's name, nodes declare what they emit."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from .compat import io
from .queued_graph import QueuedGraph


class Node(io.ComfyNode):
    """A node of ours. Errors of `execute` that a person can fix begin with the node's name.

    The attributes and methods below declare what the node emits, for the record in pictures.
    """

    emits_vectors = False  # its AU vectors follow from its widgets and other AU vectors alone
    passes = ""  # the input whose weights its output has, whatever else it changes

    @classmethod
    def weight_files(cls, **widgets: Any) -> tuple[Path, ...]:
        """The files that its weights come from: an AU-Adapter's, or MagicFace's two networks."""
        return ()

    @classmethod
    def record(cls, graph: QueuedGraph, key: str) -> dict[str, Any]:
        """What the node `key` of a graph does to pictures, as JSON; empty for nothing."""
        return {}

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        execute = vars(cls).get("execute")
        # ComfyUI makes locked copies of node classes: the execute of a copy is wrapped already.
        if execute is not None and not hasattr(execute.__func__, "__wrapped__"):
            cls.execute = classmethod(_with_name(execute.__func__))


def _with_name(execute: Callable) -> Callable:
    @wraps(execute)
    def named(cls: type[Node], *values: Any, **inputs: Any) -> io.NodeOutput:
        try:
            return execute(cls, *values, **inputs)
        except (ValueError, OSError, RuntimeError) as error:
            name, kind = cls.define_schema().display_name, _kind(error)
            if kind is None or str(error).startswith(name):
                raise
            raise kind(f"{name}: {error}") from error

    return named


def _kind(error: Exception) -> type[Exception] | None:
    """The class to raise an error as; None for one that core handles by its class, such as
    exhausted memory."""
    kinds = (FileNotFoundError, OSError, ValueError)
    found = next((kind for kind in kinds if isinstance(error, kind)), None)
    return RuntimeError if type(error) is RuntimeError else found
