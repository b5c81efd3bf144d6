"""Every node has a name that people read, a help page, a place in docs/nodes.md; nothing is run."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "web" / "docs"


def _nodes() -> dict[str, ast.ClassDef]:
    """The classes in nodes/ that call cls.schema(...), by the node's display name."""
    found = {}
    for path in sorted((ROOT / "nodes").glob("*.py")):
        for kind in ast.parse(path.read_text(encoding="utf-8")).body:
            for call in ast.walk(kind):
                if isinstance(call, ast.Call) and ast.unparse(call.func) == "cls.schema":
                    found[ast.literal_eval(call.args[0])] = kind
    return found


NODES = _nodes()


def node_id(name: str) -> str:
    return "AUA_" + re.sub(r"[^A-Za-z0-9]", "", name)


def test_there_are_nodes() -> None:
    assert {"AU Vector", "Apply AU-Adapter", "Load Demo Model"} <= NODES.keys()


@pytest.mark.parametrize("name", NODES)
def test_a_node_can_be_found_and_understood(name: str) -> None:
    assert ast.get_docstring(NODES[name])
    page = (PAGES / f"{node_id(name)}.md").read_text(encoding="utf-8")
    assert len(page) > 200
    assert f"| {name} |" in (ROOT / "docs" / "nodes.md").read_text(encoding="utf-8")


def test_no_page_outlives_its_node() -> None:
    assert {page.stem for page in PAGES.glob("*.md")} == set(map(node_id, NODES))
