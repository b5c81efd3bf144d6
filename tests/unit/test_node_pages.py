"""Every node has a name that people read, a help page, a place in docs/nodes.md; nothing is run."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "web" / "docs"


def _schemas() -> dict[str, dict[str, ast.expr]]:
    """The keywords of every io.Schema(...) in nodes/, by node id."""
    found = {}
    for path in sorted((ROOT / "nodes").glob("*.py")):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and ast.unparse(call.func) == "io.Schema":
                keywords = {keyword.arg: keyword.value for keyword in call.keywords}
                found[ast.literal_eval(keywords["node_id"])] = keywords
    return found


SCHEMAS = _schemas()


def test_there_are_nodes() -> None:
    assert {"AUA_AUVector", "AUA_ApplyAUAdapter", "AUA_LoadDemoModel"} <= SCHEMAS.keys()


@pytest.mark.parametrize("node_id", SCHEMAS)
def test_the_id_is_the_display_name_in_one_word(node_id: str) -> None:
    name = ast.literal_eval(SCHEMAS[node_id]["display_name"])
    assert node_id == "AUA_" + re.sub(r"[^A-Za-z0-9]", "", name)


@pytest.mark.parametrize("node_id", SCHEMAS)
def test_a_node_can_be_found_and_understood(node_id: str) -> None:
    assert {"category", "description", "inputs", "outputs"} <= SCHEMAS[node_id].keys()
    page = (PAGES / f"{node_id}.md").read_text(encoding="utf-8")
    assert len(page) > 200
    name = ast.literal_eval(SCHEMAS[node_id]["display_name"])
    assert f"| {name} |" in (ROOT / "docs" / "nodes.md").read_text(encoding="utf-8")


def test_no_page_outlives_its_node() -> None:
    assert {page.stem for page in PAGES.glob("*.md")} == SCHEMAS.keys()
