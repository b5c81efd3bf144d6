"""Photographs of the AU panel for the help pages, taken in ComfyUI's own page.

    python -m tools.photograph_panel           # web/docs/au_panel.jpg, the help page's picture
    python -m tools.photograph_panel FOLDER    # both renderers, dark and light, three zooms

The picture beside the drawing is what the bundled model makes of the face.
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page

from tools.frontend import open_page
from tools.server import ROOT, ComfyServer
from tools.templates import TEMPLATES

HELP = ROOT / "web" / "docs" / "au_panel.jpg"
NODE = "4"  # AU Vector of au_generate
FACE = "6B+12C+25B"
RENDERERS = {"classic": False, "nodes_2": True}
PALETTES = ("dark", "light")
ZOOMS = (0.6, 1.0, 1.5)
SETTING = "([name, value]) => app.extensionManager.setting.set(name, value)"
# A template, as an app or in the graph.
OPEN = """async ([title, asApp]) => {
  const answer = await fetch(`/api/workflow_templates/au-adapter/${title}.json`)
  const graph = await answer.json()
  graph.extra.linearMode = asApp
  await app.loadGraphData(graph, true, true, title, { openSource: 'template' })
}"""
SHOW = """([id, scale]) => {
  const node = app.graph.getNodeById(id)
  app.canvas.ds.scale = scale
  app.canvas.centerOnNode(node)
  app.canvas.bringToFront(node)
}"""


def main() -> None:
    """Take the picture of the help page, or all of them into a folder."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    with (
        tempfile.TemporaryDirectory() as base,
        ComfyServer((), base=base) as server,
        open_page(server, size=(1366, 900)) as page,
    ):
        page.evaluate(OPEN, [TEMPLATES["au_generate"].title, False])
        _draw(page)
        if folder is None:
            _save_help(page)
            return
        folder.mkdir(parents=True, exist_ok=True)
        for renderer, on in RENDERERS.items():
            page.evaluate(SETTING, ["Comfy.VueNodes.Enabled", on])
            for palette in PALETTES:
                page.evaluate(SETTING, ["Comfy.ColorPalette", palette])
                for zoom in ZOOMS:
                    _look(page, zoom)
                    page.screenshot(path=folder / f"{renderer}_{palette}_{zoom:g}.png")


def _draw(page: Page) -> None:
    """A face in the panel, and its picture beside the drawing."""
    _look(page, 1.2)  # off the screen the page hides it
    page.locator(".aua-panel:visible").wait_for()
    page.evaluate("(id) => app.graph.getNodeById(id).setSize([620, 650])", NODE)
    field = page.locator(".aua-text:visible")
    field.fill(FACE)
    field.press("Enter")
    field.blur()
    page.get_by_test_id("queue-button").click()
    page.locator(".aua-picture img:visible").wait_for()


def _look(page: Page, zoom: float) -> None:
    page.evaluate(SHOW, [NODE, zoom])
    page.wait_for_timeout(1500)  # for the page's own animations


def _save_help(page: Page) -> None:
    """The panel alone, small enough to ship."""
    _look(page, 1.2)
    picture = Image.open(io.BytesIO(page.locator(".aua-panel:visible").screenshot()))
    picture.convert("RGB").save(HELP, quality=88, optimize=True)
    print(f"{HELP.relative_to(ROOT)}: {HELP.stat().st_size // 1024} KB")


if __name__ == "__main__":
    main()
