"""Make the shipped workflows from their API form, with ComfyUI's own frontend and server.

    python -m tools.build_workflows                # workflows/*.json
    python -m tools.build_workflows --thumbnails   # workflows/*.jpg, from what the workflows draw

`workflows/api/` is the source of nodes, links and values, `workflows/notes/` of the notes, and the
table below of the arrangement. Run it again after a change of any of them or of a node.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps
from playwright.sync_api import Page

from tools.frontend import open_page
from tools.server import ROOT, ComfyServer

WORKFLOWS = ROOT / "workflows"
SCRIPT = Path(__file__).with_name("arrange_workflow.js")
NAMESPACE = uuid.UUID("6d9fbb44-3c63-4f27-9a5b-3f0a1a6f7d10")  # any, so that ids never change
THUMBNAIL = 384


@dataclass(frozen=True)
class Group:
    """Nodes below each other, by their ids, in a frame with a caption if there is one."""

    caption: str
    nodes: tuple[str, ...]
    colour: str = ""


GREY, GREEN, BLUE, VIOLET = "#8a8f98", "#7fb069", "#5b9bd5", "#a98fd0"
NOTE = Group("", ("note",))

# Columns from left to right, in each the groups from top to bottom. All of it should fit a laptop's
# screen at a scale at which ComfyUI still draws text: about 1750 x 850 units.
ARRANGEMENTS: dict[str, list[list[Group]]] = {
    "au_evaluate": [
        [NOTE],
        [Group("1. Model", ("1",), GREY), Group("2. What to draw", ("2", "3"), BLUE)],
        [
            Group("3. How many pictures", ("11", "7", "12"), BLUE),
            Group("4. What changes in them", ("4",), GREEN),
        ],
        [Group("5. Draw them", ("5", "6", "8", "9"), VIOLET)],
        [Group("6. Read them", ("14", "15"), GREEN), Group("7. Measure", ("17", "16"), VIOLET)],
        [Group("8. Plots, table, files", ("10", "13", "18"), BLUE)],
    ],
    "au_generate": [
        [NOTE],
        [Group("1. Model", ("1",), GREY), Group("2. What to draw", ("2", "3", "7"), BLUE)],
        [Group("3. Expression: move the sliders", ("4",), GREEN)],
        [Group("4. Draw it", ("5", "6", "8", "9"), VIOLET)],
        [Group("5. The picture", ("10",), BLUE)],
    ],
    "au_sweep": [
        [NOTE],
        [Group("1. Model", ("1",), GREY), Group("2. What to draw", ("2", "3"), BLUE)],
        [
            Group("3. How many pictures", ("11", "7", "12"), BLUE),
            Group("4. What changes in them", ("4",), GREEN),
        ],
        [Group("5. Draw them", ("5", "6", "8", "9"), VIOLET)],
        [Group("6. The pictures", ("10", "13"), BLUE)],
    ],
}
# Width and height of nodes that need more, or less, than ComfyUI gives them. Nothing stands below
# AU Vector: in Nodes 2.0 it grows when its advanced inputs are shown.
SIZES = {
    "AUA_AUVector": (380, 0),
    "AUA_AUSweep": (330, 0),
    "CLIPTextEncode": (290, 110),
    "KSampler": (270, 0),
    "MarkdownNote": (290, 620),
    "PreviewAny": (310, 180),
    "SaveImage": (310, 290),
}


def read_graph(name: str) -> dict[str, Any]:
    """A shipped workflow in API format."""
    return json.loads((WORKFLOWS / "api" / f"{name}.json").read_text(encoding="utf-8"))


def arranged(page: Page, name: str) -> dict[str, Any]:
    """A workflow as the page's frontend saves it, arranged and with its note."""
    order = {
        "api": read_graph(name),
        "columns": [[asdict(group) for group in column] for column in ARRANGEMENTS[name]],
        "note": (WORKFLOWS / "notes" / f"{name}.md").read_text(encoding="utf-8").strip(),
        "sizes": SIZES,
    }
    page.evaluate(SCRIPT.read_text(encoding="utf-8"), order)
    graph = json.loads(page.evaluate("() => JSON.stringify(app.graph.serialize())"))
    graph["id"] = str(uuid.uuid5(NAMESPACE, name))
    graph["extra"].pop("ds", None)  # what part of it the page showed
    return graph


def build(server: ComfyServer) -> None:
    """Write workflows/*.json."""
    with open_page(server) as page:
        for name in ARRANGEMENTS:
            text = json.dumps(arranged(page, name), indent=1, ensure_ascii=False)
            (WORKFLOWS / f"{name}.json").write_text(text + "\n", encoding="utf-8", newline="\n")
            print(f"workflows/{name}.json", flush=True)


def draw_thumbnails(server: ComfyServer) -> None:
    """Write workflows/*.jpg: the pictures of a run, in rows on a square."""
    for name in ARRANGEMENTS:
        picture = on_a_square(server.run(read_graph(name)))
        picture.save(WORKFLOWS / f"{name}.jpg", quality=88, optimize=True)
        print(f"workflows/{name}.jpg", flush=True)


def on_a_square(pictures: list[Image.Image]) -> Image.Image:
    """Pictures in rows of three at most, cut to fill a square of THUMBNAIL pixels; wide ones, which
    are plots, whole and below each other."""
    wide = pictures[0].width > 1.3 * pictures[0].height
    columns = 1 if wide else min(len(pictures), 3)
    rows = -(-len(pictures) // columns)
    width, height = THUMBNAIL // columns, THUMBNAIL // rows
    sheet = Image.new("RGB", (THUMBNAIL, THUMBNAIL))
    for index, picture in enumerate(pictures):
        row, column = divmod(index, columns)
        picture, size = picture.convert("RGB"), (width, height)
        if wide:
            tile = ImageOps.pad(picture, size, Image.Resampling.LANCZOS, color="white")
        else:
            tile = ImageOps.fit(picture, size, Image.Resampling.LANCZOS)
        sheet.paste(tile, (column * width, row * height))
    return sheet


def main() -> None:
    """Write the workflows, or with --thumbnails their pictures."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--thumbnails", action="store_true", help="draw the .jpg files instead")
    make = draw_thumbnails if parser.parse_args().thumbnails else build
    with tempfile.TemporaryDirectory() as base, ComfyServer(base=base) as server:
        make(server)


if __name__ == "__main__":
    main()
