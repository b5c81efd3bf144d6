"""The base class of our nodes: errors begin with the node's name, nodes declare what they emit."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from .compat import io
from .queued_graph import QueuedGraph

CATEGORY = "AU-Adapter"
FOLDED = {"optional": True, "advanced": True}  # an input that the page folds away at first
FACTOR = {"default": 1.0, "min": -10.0, "max": 10.0, "step": 0.05}  # a strength: 1 as trained
NAMED = (FileNotFoundError, OSError, ValueError)  # what an error of one of them is raised as


class Node(io.ComfyNode):
    """A node of ours. Errors of `execute` that a person can fix begin with the node's name.

    Its docstring is what people read on the page: the description, an empty line, and an entry
    `name: tooltip` for its inputs and outputs. The attributes and methods below declare what the
    node emits, for the record in pictures.
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

    @classmethod
    def schema(
        cls,
        name: str,
        aliases: list[str],
        inputs: list[io.Input],
        outputs: list[io.Output],
        shows_text: bool = False,
        family: str = "",
        **options: Any,
    ) -> io.Schema:
        """The schema of the node with this display name, with the words of its docstring.

        aliases: words that the page's search finds it by; a word that only one node should be found
        by stands with that node alone. family: its menu below CATEGORY, named in locales/ too.
        shows_text: `execute` calls show_text. options: of io.Schema. ValueError for an entry of the
        docstring that is of no input and no output.
        """
        description, tooltips = _words(inspect.getdoc(cls) or "")
        fields = {output.display_name or output.io_type: output for output in outputs}
        fields.update((field.id, field) for field in inputs)  # of one name, the input is meant
        if unknown := sorted(tooltips.keys() - fields.keys()):
            raise ValueError(f"{name}: the docstring explains {unknown[0]}, which it does not have")
        for key, tooltip in tooltips.items():
            fields[key].tooltip = tooltip
        return io.Schema(
            node_id="AUA_" + "".join(filter(str.isalnum, name)),
            display_name=name,
            category=f"{CATEGORY}/{family}" if family else CATEGORY,
            description=description,
            search_aliases=aliases,
            inputs=inputs,
            outputs=outputs,
            **({"hidden": [io.Hidden.unique_id]} if shows_text else {}),
            **options,
        )

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        execute = vars(cls).get("execute")
        # ComfyUI makes locked copies of node classes: the execute of a copy is wrapped already.
        if execute is not None and not hasattr(execute.__func__, "__wrapped__"):
            cls.execute = classmethod(_with_name(execute.__func__))


def _words(docstring: str) -> tuple[str, dict[str, str]]:
    """The description and the tooltips of a node's docstring."""
    description, _, entries = docstring.partition("\n\n")
    tooltips = (entry.partition(": ")[::2] for entry in re.split(r"\n(?! )", entries) if entry)
    return " ".join(description.split()), {key: " ".join(text.split()) for key, text in tooltips}


def _with_name(execute: Callable) -> Callable:
    @wraps(execute)
    def named(cls: type[Node], *values: Any, **inputs: Any) -> io.NodeOutput:
        try:
            return execute(cls, *values, **inputs)
        except (ValueError, OSError, RuntimeError) as error:
            name = cls.define_schema().display_name
            kind = next((kind for kind in NAMED if isinstance(error, kind)), type(error))
            # Core handles some errors by their class, such as exhausted memory: they stay as is.
            if kind not in (*NAMED, RuntimeError) or str(error).startswith(name):
                raise
            raise kind(f"{name}: {error}") from error

    return named
