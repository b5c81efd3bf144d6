"""Make the templates from the workflows' API form, with ComfyUI's own frontend and server.

    python -m tools.build_workflows                # workflows/*.json, subgraphs/*.json
    python -m tools.build_workflows --thumbnails   # workflows/*.jpg, from what the workflows draw
    python -m tools.build_workflows au_sweep       # only this one

`workflows/api/` is the source of nodes, links and values, `workflows/notes/` of the notes, and
`tools/templates.py` of all that the page adds. Run it again after a change of any of them or of a
node.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
import uuid
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from tools import blueprint, face_files
from tools.frontend import load, open_page
from tools.model_links import MODELS
from tools.server import ComfyServer
from tools.stand_ins import add_stand_ins
from tools.templates import TEMPLATES, WORKFLOWS, page_graph, read_graph
from tools.thumbnails import thumbnail

SCRIPT = Path(__file__).with_name("arrange_workflow.js")
NAMESPACE = uuid.UUID("6d9fbb44-3c63-4f27-9a5b-3f0a1a6f7d10")  # any, so that ids never change
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def arranged(page: Page, name: str) -> dict[str, Any]:
    """A template as the page's frontend saves it."""
    template = TEMPLATES[name]
    order = {
        "api": page_graph(name),
        "columns": template.columns,
        "parts": {key: asdict(part) for key, part in template.parts.items()},
        "note": (WORKFLOWS / "notes" / f"{name}.md").read_text(encoding="utf-8").strip(),
        "app": asdict(template.app) if template.app else None,
        "models": MODELS,
    }
    return made(page, SCRIPT, order, name)


def made(page: Page, script: Path, order: dict[str, Any], name: str) -> dict[str, Any]:
    """What the page's frontend saves after a script has run in it."""
    page.evaluate(script.read_text(encoding="utf-8"), order)
    text = page.evaluate("() => JSON.stringify(app.graph.serialize())")
    graph = json.loads(with_steady_ids(text, name))
    graph["id"] = str(uuid.uuid5(NAMESPACE, name))
    graph["extra"].pop("ds", None)  # what part of it the page showed
    return graph


def with_steady_ids(text: str, name: str) -> str:
    """The page gives subgraphs and their slots random ids; the same every time are put in place."""
    found = list(dict.fromkeys(UUID.findall(text)))
    steady = {old: str(uuid.uuid5(NAMESPACE, f"{name} {n}")) for n, old in enumerate(found)}
    return UUID.sub(lambda match: steady[match[0]], text)


def build(server: ComfyServer, names: list[str]) -> None:
    """Write workflows/*.json, and the blueprint where its title is among the names."""
    with open_page(server) as page:
        for name in names:
            load(page, server)  # a page remembers texts and sizes by a node's id
            if name == blueprint.TITLE:
                path = blueprint.PATH
                graph = made(page, blueprint.SCRIPT, blueprint.order(), name)
            else:
                path = WORKFLOWS / f"{TEMPLATES[name].title}.json"
                graph = arranged(page, name)
            path.parent.mkdir(exist_ok=True)
            text = json.dumps(graph, indent=1, ensure_ascii=False)
            path.write_text(text + "\n", encoding="utf-8", newline="\n")
            print(path.relative_to(WORKFLOWS.parent), flush=True)


def draw_thumbnails(server: ComfyServer, names: list[str]) -> None:
    """Write workflows/*.jpg."""
    drawn = cache(lambda name: server.run(read_graph(name)))
    for name in names:
        path = WORKFLOWS / f"{TEMPLATES[name].title}.jpg"
        thumbnail(name, drawn).save(path, quality=88, optimize=True)
        print(path.relative_to(WORKFLOWS.parent), flush=True)


def main() -> None:
    """Write the workflows, or with --thumbnails their pictures."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--thumbnails", action="store_true", help="draw the .jpg files instead")
    parser.add_argument("names", nargs="*", help="which; all if none is named")
    options = parser.parse_args()
    make = draw_thumbnails if options.thumbnails else build
    everything = [*TEMPLATES, *([] if options.thumbnails else [blueprint.TITLE])]
    with tempfile.TemporaryDirectory() as base:
        add_stand_ins(Path(base))
        face_files.lend(Path(base))
        with ComfyServer(base=base) as server:
            make(server, options.names or everything)


if __name__ == "__main__":
    main()
