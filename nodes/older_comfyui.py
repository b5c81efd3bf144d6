"""ComfyUI's node interface for a release that lacks words which these nodes use.

Two words only tell the page how to offer a node: `search_aliases`, other names to find it by, and
`advanced`, an input that is folded away at first. Releases without them show the node all the same.
"""

from __future__ import annotations

import inspect
from types import SimpleNamespace
from typing import Any

WIDGETS = ("Boolean", "Combo", "Float", "Int", "String")


def with_later_words(io: Any) -> Any:
    """ComfyUI's `io` if it knows both words, else its names with classes that take them too."""
    later = {"Schema": taking(io.Schema, "search_aliases")}
    for name in WIDGETS:
        kind = getattr(io, name)
        field = taking(kind.Input, "advanced")
        later[name] = kind if field is kind.Input else type(name, (kind,), {"Input": field})
    if all(later[name] is getattr(io, name) for name in later):
        return io
    return SimpleNamespace(**{**vars(io), **later})


def taking(kind: type, word: str) -> type:
    """The class itself if its constructor takes the word, else one that only remembers it."""
    if word in inspect.signature(kind).parameters:
        return kind

    def __init__(self: Any, *values: Any, **options: Any) -> None:
        setattr(self, word, options.pop(word, None))
        kind.__init__(self, *values, **options)

    return type(kind.__name__, (kind,), {"__init__": __init__})
