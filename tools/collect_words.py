"""The nodes' English words into locales/en, where translations begin.

    python -m tools.collect_words

Where the English of a node, an input or an output has changed, its translations in the other
languages are taken out: `tests/comfy/test_translations.py` then names what has to be written anew.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from typing import Any

from tools.server import ROOT, ComfyServer

LOCALES = ROOT / "locales"
LANGUAGES = ("zh", "ja", "ko")
FILE = "nodeDefs.json"  # the name that ComfyUI reads
PREFIX = "AUA_"
Words = dict[str, Any]  # node id -> display_name, description, inputs, outputs


def main() -> None:
    """Ask a ComfyUI for the nodes, write English, take out stale translations."""
    with tempfile.TemporaryDirectory() as base, ComfyServer((), base=base) as server:
        nodes = server.get("/object_info")
    english = {name: words_of(node) for name, node in nodes.items() if name.startswith(PREFIX)}
    before = read_words("en")
    write_words("en", english)
    for language in LANGUAGES:
        write_words(language, fresh(read_words(language), before, english))


def words_of(node: Mapping[str, Any]) -> Words:
    """What the page shows of a node, from its entry in /object_info."""
    fields = {**node["input"].get("required", {}), **node["input"].get("optional", {})}
    inputs = {name: _input(name, *field[1:]) for name, field in fields.items()}
    tips = node.get("output_tooltips") or [None] * len(node["output"])
    outputs = {
        str(number): _entry(name, tip)
        for number, (name, tip) in enumerate(zip(node["output_name"], tips, strict=True))
    }
    found = {"display_name": node["display_name"], "description": node["description"]}
    return found | {k: v for k, v in (("inputs", inputs), ("outputs", outputs)) if v}


def _input(name: str, options: Mapping[str, Any] | None = None) -> Words:
    options = options or {}
    return _entry(options.get("display_name") or name, options.get("tooltip"))


def _entry(name: str, tip: str | None) -> Words:
    return {"name": name, **({"tooltip": tip} if tip else {})}


def read_words(language: str) -> Words:
    """The words of a language, none where it has no file."""
    path = LOCALES / language / FILE
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def write_words(language: str, words: Words) -> None:
    """One line for each input, and one for all outputs of a node."""
    path = LOCALES / language / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    nodes = ",\n".join(f'  "{name}": {{\n{_node_text(node)}\n  }}' for name, node in words.items())
    path.write_text(f"{{\n{nodes}\n}}\n", encoding="utf-8")


def _node_text(node: Words) -> str:
    lines = []
    for key, value in node.items():
        text = _text(value)
        if key == "inputs":
            fields = ",\n".join(f'      "{name}": {_text(field)}' for name, field in value.items())
            text = f"{{\n{fields}\n    }}"
        lines.append(f'    "{key}": {text}')
    return ",\n".join(lines)


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def fresh(translated: Words, before: Words, now: Words) -> Words:
    """The translations whose English is what it was, in the order of the English."""
    if not isinstance(now, dict):
        return translated
    return {
        key: fresh(translated[key], before.get(key), english)
        for key, english in now.items()
        if key in translated and _unchanged(before.get(key) if before else None, english)
    }


def _unchanged(before: Any, now: Any) -> bool:
    """Whether words are the same; what only holds words is looked into."""
    return isinstance(before, dict) if isinstance(now, dict) else before == now


if __name__ == "__main__":
    main()
