"""The README's animation of the AU panel, filmed in ComfyUI's own page.

python -m tools.film_panel     # docs/panel.webp
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator

from PIL import Image
from playwright.sync_api import Locator, Page

from tools.frontend import open_page
from tools.server import ROOT, ComfyServer

FILM = ROOT / "docs" / "panel.webp"
WIDTH = 520  # pixels
FRAME, REST = 90, 900  # milliseconds that a picture stands, and the last one of a move
QUALITY = 60
STEPS = 9  # pictures of a move
# A zone of the drawn face, the side that is dragged, and how far: pixels to the right and down.
MOVES = (
    ("Corner", 0, 8, -34),
    ("OuterBrow", 1, 0, -30),
    ("LowerLip", 0, 0, 30),
    ("Corner", 0, 0, 70),
    ("InnerBrow", 0, 0, 34),
)
ALONE = """() => {
  app.graph.clear()
  const node = LiteGraph.createNode('AUA_AUVector')
  app.graph.add(node)
  node.setSize([560, 620])
  app.canvas.ds.scale = 1
  app.canvas.centerOnNode(node)
  const hand = document.createElement('div')
  hand.id = 'hand'
  hand.style.cssText = 'position:fixed;width:18px;height:18px;margin:-9px;border-radius:9px;' +
    'background:#ffffffa0;border:2px solid #202020;z-index:99999;pointer-events:none'
  document.body.append(hand)
  addEventListener('pointermove', (event) => {
    hand.style.left = event.clientX + 'px'
    hand.style.top = event.clientY + 'px'
  }, true)
}"""


def main() -> None:
    """Drag the drawn face, take pictures, and write the animation."""
    with (
        tempfile.TemporaryDirectory() as base,
        ComfyServer((), base=base) as server,
        open_page(server, size=(1100, 900)) as page,
    ):
        page.evaluate(ALONE)
        panel = page.locator(".aua-panel")
        panel.locator("[data-zone]").first.wait_for()
        page.wait_for_timeout(1500)  # for the page's own animations
        frames = list(film(page, panel))
    first, *others = (picture for picture, _ in frames)
    first.save(
        FILM,
        save_all=True,
        append_images=others,
        duration=[milliseconds for _, milliseconds in frames],
        loop=0,
        quality=QUALITY,
        method=6,
    )
    print(f"{FILM.relative_to(ROOT)}: {FILM.stat().st_size // 1024} KB, {len(frames)} pictures")


def film(page: Page, panel: Locator) -> Iterator[tuple[Image.Image, int]]:
    """(picture, how long it stands) of each move, and of a reset at the end."""
    yield shot(panel), REST
    for zone, side, right, down in MOVES:
        box = panel.locator(f'[data-zone="{zone}"][data-side="{side}"]').bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.mouse.move(x, y)
        page.mouse.down()
        for step in range(1, STEPS + 1):
            page.mouse.move(x + right * step / STEPS, y + down * step / STEPS)
            yield shot(panel), FRAME if step < STEPS else REST
        page.mouse.up()


def shot(panel: Locator) -> Image.Image:
    """The panel at the film's width."""
    picture = Image.open(io.BytesIO(panel.screenshot())).convert("RGB")
    size = (WIDTH, picture.height * WIDTH // picture.width)
    return picture.resize(size, Image.Resampling.LANCZOS)


if __name__ == "__main__":
    main()
