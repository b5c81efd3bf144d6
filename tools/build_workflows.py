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
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont, ImageOps, ImageSequence
from playwright.sync_api import Page

from tools import blueprint, face_files
from tools.frontend import load, open_page
from tools.model_links import MODELS
from tools.server import ComfyServer
from tools.stand_ins import add_stand_ins
from tools.templates import TEMPLATES, WORKFLOWS, page_graph, read_graph

SCRIPT = Path(__file__).with_name("arrange_workflow.js")
NAMESPACE = uuid.UUID("6d9fbb44-3c63-4f27-9a5b-3f0a1a6f7d10")  # any, so that ids never change
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
THUMBNAIL = 384
MOST = 9  # pictures on a thumbnail
INK, PAPER = "#f2f2ee", "#2f3640"
# Workflows that draw with models which cannot be shipped, or only after minutes of training: their
# card is a text.
CARDS = {
    "au_train": "Train an AU-Adapter\n\nlabelled faces in,\nan adapter out",
    "au_sd21": "Stable Diffusion 2.1\n+ FineFace\n\nyour checkpoint,\ntwelve muscles",
    "au_sd15": "Stable Diffusion 1.5\n+ FineFace\n\nyour checkpoint,\ntwelve muscles",
    "au_sd15_ipadapter": "SD 1.5 + FineFace\n+ IP-Adapter\n\ntext, a person,\nan expression",
    "au_sd15_faceid": "SD 1.5 + FineFace\n+ IP-Adapter FaceID\n\nFineFace, Fig. 1 and 7",
    "ipadapter_magicface": "IP-Adapter\n+ MagicFace\n+ AU Evaluator\n\ndrawn, edited,\nmeasured",
    "aueditnet_edit": "AUEditNet\n\na face by numbers,\nat once",
    "aueditnet_transfer": "AUEditNet\n\nthe expression\nof another face",
    "vq_auface": "VQ-AUFace\n\na text about muscles,\na photo,\na new face",
    "magicface_edit": "MagicFace\n\na photo,\nthe same person,\nanother expression",
    "magicface_looks": "MagicFace\n\none photo,\nforty expressions,\none sheet",
}


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
    """Write workflows/*.jpg: the pictures of a run, in rows on a square, or a text."""
    for name in names:
        title = TEMPLATES[name].title
        if name in CARDS:
            picture = card(CARDS[name])
        else:
            picture = on_a_square(_frames(server.run(read_graph(name))))
        picture.save(WORKFLOWS / f"{title}.jpg", quality=88, optimize=True)
        print(f"workflows/{title}.jpg", flush=True)


def card(text: str) -> Image.Image:
    """A square of THUMBNAIL pixels that says what a workflow is for."""
    square = Image.new("RGB", (THUMBNAIL, THUMBNAIL), PAPER)
    draw, middle = ImageDraw.Draw(square), THUMBNAIL / 2
    font = ImageFont.load_default(30)
    draw.multiline_text((middle, middle), text, INK, font, "mm", spacing=10, align="center")
    return square


def _frames(pictures: list[Image.Image]) -> list[Image.Image]:
    """Pictures and the frames of clips, at most MOST of them, evenly apart, ends included."""
    frames = [frame.copy() for picture in pictures for frame in ImageSequence.Iterator(picture)]
    if len(frames) <= MOST:
        return frames
    return [frames[round(i * (len(frames) - 1) / (MOST - 1))] for i in range(MOST)]


def on_a_square(pictures: list[Image.Image]) -> Image.Image:
    """Pictures on a square of THUMBNAIL pixels: in rows of three at most, cut to fill it; three and
    fewer, and wide ones such as plots, whole."""
    wide = pictures[0].width > 1.3 * pictures[0].height
    columns = 1 if wide else min(len(pictures), 3)
    rows = -(-len(pictures) // columns)
    width, height = THUMBNAIL // columns, THUMBNAIL // rows
    sheet = Image.new("RGB", (THUMBNAIL, THUMBNAIL))
    for index, picture in enumerate(pictures):
        row, column = divmod(index, columns)
        tile = picture.convert("RGB")
        if wide or len(pictures) < 4:
            tile = ImageOps.pad(tile, (width, height), Image.Resampling.LANCZOS, color=PAPER)
        else:
            tile = ImageOps.fit(tile, (width, height), Image.Resampling.LANCZOS)
        sheet.paste(tile, (column * width, row * height))
    return sheet


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
