"""Make the shipped workflows from their API form, with ComfyUI's own frontend and server.

    python -m tools.build_workflows                # workflows/*.json
    python -m tools.build_workflows --thumbnails   # workflows/*.jpg, from what the workflows draw
    python -m tools.build_workflows au_sweep       # only this one

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

from PIL import Image, ImageDraw, ImageFont, ImageOps, ImageSequence
from playwright.sync_api import Page

from tools import face_files
from tools.frontend import open_page
from tools.server import ROOT, ComfyServer
from tools.stand_ins import add_stand_ins

WORKFLOWS = ROOT / "workflows"
SCRIPT = Path(__file__).with_name("arrange_workflow.js")
NAMESPACE = uuid.UUID("6d9fbb44-3c63-4f27-9a5b-3f0a1a6f7d10")  # any, so that ids never change
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
    "magicface_edit": "MagicFace\n\na photo,\nthe same person,\nanother expression",
}


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
_STABLE_DIFFUSION = [
    [NOTE],
    [Group("1. Models", ("1", "11"), GREY), Group("2. What to draw", ("2", "3", "7"), BLUE)],
    [Group("3. Expression: move the sliders", ("4",), GREEN)],
    [Group("4. Draw it", ("5", "6", "8", "9"), VIOLET)],
    [Group("5. The picture", ("10",), BLUE)],
]
_WITH_IP_ADAPTER = [
    [NOTE],
    [Group("1. Models", ("1", "11"), GREY), Group("2. What to draw", ("2", "3", "7"), BLUE)],
    [Group("3. Who", ("12", "13", "14"), BLUE)],
    [Group("4. Expression: move the sliders", ("4",), GREEN)],
    [Group("5. Draw it", ("5", "6", "8", "9"), VIOLET)],
    [Group("6. The picture", ("10",), BLUE)],
]
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
    "au_protocol": [
        [NOTE],
        [Group("1. Model", ("1",), GREY), Group("2. What is tested", ("4",), GREEN)],
        [Group("3. Its prompt, seed and rows", ("2", "3", "7", "12"), BLUE)],
        [Group("4. Draw them", ("5", "6", "8", "9"), VIOLET)],
        [Group("5. Read them", ("14", "15"), GREEN), Group("6. Measure", ("17", "16"), VIOLET)],
        [Group("7. Plots, table, files", ("10", "13", "18"), BLUE)],
    ],
    "au_generate": [
        [NOTE],
        [Group("1. Model", ("1",), GREY), Group("2. What to draw", ("2", "3", "7"), BLUE)],
        [Group("3. Expression: move the sliders", ("4",), GREEN)],
        [Group("4. Draw it", ("5", "6", "8", "9"), VIOLET)],
        [Group("5. The picture", ("10",), BLUE)],
    ],
    "au_text": [
        [NOTE],
        [
            Group("1. Model: yours here", ("1",), GREY),
            Group("2. The face in words", ("4",), GREEN),
        ],
        [Group("3. As anatomical text", ("5",), GREEN)],
        [Group("4. Prompt", ("11", "12"), BLUE)],
        [Group("5. Draw it", ("2", "3", "7", "8", "9"), VIOLET)],
        [Group("6. The picture", ("10",), BLUE)],
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
    "au_target": [
        [NOTE],
        [Group("1. Model", ("1",), GREY), Group("2. What to draw", ("2", "3", "7"), BLUE)],
        [Group("3. What should be measured", ("4",), GREEN)],
        [Group("4. Draw it", ("5", "6", "8", "9"), VIOLET)],
        [Group("5. Read it, correct the request", ("11", "12", "13", "21"), GREEN)],
        [Group("6. Draw it again", ("14", "15", "16", "17"), VIOLET)],
        [
            Group("7. Both pictures", ("18", "10"), BLUE),
            Group("8. Read again", ("19", "20", "22"), GREEN),
        ],
    ],
    "au_two_faces": [
        [NOTE, Group("1. Model", ("1",), GREY)],
        [
            Group("2. Left: who and how", ("2", "4"), GREEN),
            Group("3. Right: who and how", ("11", "12"), GREEN),
        ],
        [Group("4. AUs of each", ("5", "6", "13", "14"), VIOLET)],
        [Group("5. Left is here", ("15", "18"), BLUE), Group("Right is here", ("16", "19"), BLUE)],
        [Group("6. Both", ("17", "20"), BLUE), Group("7. Negative, size", ("3", "7"), GREY)],
        [Group("8. Draw them", ("8", "9", "10"), VIOLET)],
    ],
    "au_animation": [
        [NOTE],
        [Group("1. Model", ("1",), GREY), Group("2. What to draw", ("2", "3"), BLUE)],
        [
            Group("3. How many frames", ("11", "7", "12"), BLUE),
            Group("4. What the face does", ("4",), GREEN),
        ],
        [Group("5. Draw them", ("5", "6", "8", "9"), VIOLET)],
        [Group("6. The clip", ("10", "13"), BLUE)],
    ],
    "au_left_right": [
        [NOTE],
        [Group("1. Model", ("1", "11"), GREY), Group("2. What to draw", ("2", "3", "7"), BLUE)],
        [Group("3. L and R in the notation", ("4",), GREEN)],
        [Group("4. Draw it", ("5", "6", "8", "9"), VIOLET)],
        [Group("5. The picture", ("10",), BLUE)],
    ],
    "au_sides": [
        [NOTE],
        [Group("1. Model", ("1",), GREY), Group("2. What to draw", ("2", "3", "7"), BLUE)],
        [Group("3. L and R in the notation", ("4",), GREEN)],
        [Group("4. Part both", ("11", "13", "5", "12"), GREEN)],
        [Group("5. Each to its half", ("6", "14"), VIOLET)],
        [Group("6. Draw it", ("8", "9", "10"), VIOLET)],
    ],
    "au_train": [
        [NOTE],
        [Group("1. Train it", ("1",), GREEN)],
        [Group("2. How it went", ("4", "2", "3"), BLUE)],
        [Group("3. Model, what to draw", ("5", "6", "7", "11", "9"), GREY)],
        [Group("4. Ask for muscles", ("8",), GREEN)],
        [
            Group("5. Draw with it", ("10", "12", "13"), VIOLET),
            Group("6. The picture", ("14",), BLUE),
        ],
    ],
    "au_sd21": _STABLE_DIFFUSION,
    "au_sd15": _STABLE_DIFFUSION,
    "au_sd15_ipadapter": _WITH_IP_ADAPTER,
    "au_sd15_faceid": _WITH_IP_ADAPTER,
    "ipadapter_magicface": [
        [NOTE],
        [Group("1. Models", ("1", "2"), GREY), Group("2. Who", ("3", "15", "16"), BLUE)],
        [Group("3. The picture before", ("13", "14", "17", "18", "19"), BLUE)],
        [Group("4. What changes: move the sliders", ("4",), GREEN)],
        [Group("5. The face, seen once", ("5", "6", "7"), VIOLET)],
        [Group("6. Draw the edit", ("8", "9", "10", "11"), VIOLET)],
        [Group("7. Before and after", ("24", "12"), BLUE)],
        [Group("8. Measured", ("20", "21", "22", "23"), GREEN)],
    ],
    "magicface_edit": [
        [NOTE],
        [Group("1. Photo", ("3",), BLUE), Group("2. Models", ("1", "2"), GREY)],
        [Group("3. What changes: move the sliders", ("4",), GREEN)],
        [Group("4. The face, seen once", ("5", "6", "7"), VIOLET)],
        [Group("5. Draw it", ("8", "9", "10", "11"), VIOLET)],
        [Group("6. The picture", ("12",), BLUE)],
    ],
    "magicface_edit_demo": [
        [NOTE],
        [Group("1. Models", ("1", "2"), GREY), Group("2. Who", ("13", "14", "15"), BLUE)],
        [Group("3. A photo", ("16", "17", "18"), BLUE)],
        [Group("4. What changes: move the sliders", ("4",), GREEN)],
        [Group("5. The face, seen once", ("5", "6", "7"), VIOLET)],
        [Group("6. Draw the edit", ("8", "9", "10", "11"), VIOLET)],
        [Group("7. The picture", ("12",), BLUE)],
    ],
    "magicface_words": [
        [NOTE],
        [Group("1. Any model", ("1", "13", "14", "15"), BLUE)],
        [Group("Its picture", ("16", "17", "18"), BLUE)],
        [Group("2. What changes, in words", ("4",), GREEN), Group("3. MagicFace", ("2",), GREY)],
        [Group("4. The face, seen once", ("5", "6", "7"), VIOLET)],
        [Group("5. Draw the edit", ("8", "9", "10", "11"), VIOLET)],
        [Group("6. The picture", ("12",), BLUE)],
    ],
    "magicface_sweep": [
        [NOTE],
        [Group("1. Models", ("1", "2"), GREY), Group("2. Who", ("13", "14", "15"), BLUE)],
        [Group("3. A photo", ("16", "17"), BLUE), Group("4. What changes", ("4",), GREEN)],
        [Group("5. The face, seen once", ("5", "6", "7"), VIOLET)],
        [Group("6. Draw all changes", ("8", "19", "9", "10", "11"), VIOLET)],
        [Group("7. The pictures", ("12", "18"), BLUE)],
    ],
    "magicface_copy_expression": [
        [NOTE, Group("1. Models", ("1", "2"), GREY)],
        [Group("2. Who is edited", ("13", "14", "15"), BLUE), Group("", ("16", "17"))],
        [Group("3. The photo", ("18",), BLUE), Group("4. Another person", ("22",), BLUE)],
        [Group("5. What the other does", ("23",), GREEN)],
        [
            Group("6. The other photo", ("24", "25", "27", "28", "29"), BLUE),
        ],
        [Group("7. Read both, copy", ("19", "20", "21", "4"), GREEN)],
        [Group("8. The face, seen once", ("5", "6", "7"), VIOLET)],
        [Group("9. Draw the edit", ("8", "9", "10", "11"), VIOLET)],
        [Group("10. The picture", ("12",), BLUE)],
    ],
    "magicface_sides": [
        [NOTE],
        [Group("1. Models", ("1", "2"), GREY), Group("2. Who", ("13", "14", "15"), BLUE)],
        [Group("3. A photo", ("16", "17", "18"), BLUE)],
        [Group("4. L and R in the notation", ("4",), GREEN)],
        [Group("5. The face, seen once", ("5", "6", "7"), VIOLET)],
        [Group("6. Part changes and face", ("19", "20", "21"), GREEN)],
        [Group("7. Each to its half", ("8", "22", "23", "24", "25"), VIOLET)],
        [Group("8. Draw the edit", ("9", "10", "11", "12"), VIOLET)],
    ],
}
# Width and height of nodes that need more, or less, than ComfyUI gives them. Nothing stands below
# AU Vector: in Nodes 2.0 it grows when its advanced inputs are shown.
SIZES = {
    "AUA_AUVector": (380, 0),
    "AUA_AUEstimator": (310, 0),
    "AUA_AUFromText": (310, 230),  # it shows what it understood below its text
    "AUA_AUText": (310, 330),  # and this its text below its widgets
    "AUA_AUExpression": (310, 190),  # it shows its notes below its widgets
    "AUA_AUKeyframes": (330, 230),
    "AUA_AUSweep": (330, 0),
    "SaveAnimatedWEBP": (310, 420),
    "AUA_TrainAUAdapter": (330, 520),
    "CLIPTextEncode": (290, 110),
    "KSampler": (270, 0),
    "LoadImage": (260, 320),
    "LossGraphNode": (310, 250),
    "MarkdownNote": (290, 620),
    "PreviewAny": (310, 180),
    "PreviewImage": (260, 260),
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


def build(server: ComfyServer, names: list[str]) -> None:
    """Write workflows/*.json."""
    for name in names:
        with open_page(server) as page:  # a fresh one: a page remembers values by a node's id
            text = json.dumps(arranged(page, name), indent=1, ensure_ascii=False)
        (WORKFLOWS / f"{name}.json").write_text(text + "\n", encoding="utf-8", newline="\n")
        print(f"workflows/{name}.json", flush=True)


def draw_thumbnails(server: ComfyServer, names: list[str]) -> None:
    """Write workflows/*.jpg: the pictures of a run, in rows on a square, or a text."""
    for name in names:
        if name in CARDS:
            picture = card(CARDS[name])
        else:
            picture = on_a_square(_frames(server.run(read_graph(name))))
        picture.save(WORKFLOWS / f"{name}.jpg", quality=88, optimize=True)
        print(f"workflows/{name}.jpg", flush=True)


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
    with tempfile.TemporaryDirectory() as base:
        add_stand_ins(Path(base))
        face_files.lend(Path(base))
        with ComfyServer(base=base) as server:
            make(server, options.names or list(ARRANGEMENTS))


if __name__ == "__main__":
    main()
