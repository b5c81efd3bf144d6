"""How fast the AU panel is, in a real browser: from a slider to the drawn face, frames while one
drags, and drafts of Live.

    python -m tools.measure_panel

It says milliseconds and writes nothing. On a busy machine the figures are the machine's.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

from playwright.sync_api import Page

from tools import face_files
from tools.frontend import open_page
from tools.photograph_panel import OPEN
from tools.photograph_templates import LAPTOP
from tools.server import ComfyServer
from tools.stand_ins import add_stand_ins
from tools.templates import TEMPLATES

MOVES, DRAFTS = 120, 4
# The panel of the template's own AU Vector, once it is there.
MARK = """() => {
  const { element } = app.graph.getNodeById(4).widgets.at(-1)
  element.dataset.measured = 'yes'
  return element.querySelector('.aua-face')
}"""
# Each move of the slider: time until the face is drawn, and between frames.
DRAG = """async (moves) => {
  const slider = document.querySelector('[data-measured] [data-unit="12"] input[type="range"]')
  const face = document.querySelector('[data-measured] .aua-face > svg')
  const frame = () => new Promise((done) => requestAnimationFrame(done))
  const [drawn, frames] = [[], []]
  slider.dispatchEvent(new PointerEvent('pointerdown', { bubbles: true }))
  let before = await frame()
  for (let move = 0; move < moves; move++) {
    slider.value = (5 * (move % 50)) / 50
    const start = performance.now()
    slider.dispatchEvent(new Event('input', { bubbles: true }))
    face.getBoundingClientRect() // style and layout too
    drawn.push(performance.now() - start)
    const now = await frame()
    frames.push(now - before)
    before = now
  }
  slider.dispatchEvent(new Event('change', { bubbles: true }))
  return { drawn, frames }
}"""
# Each draft: time from the slider's input to the picture of another address.
DRAFT = """async (value) => {
  const slider = document.querySelector('[data-measured] [data-unit="12"] input[type="range"]')
  const picture = document.querySelector('[data-measured] .aua-picture img')
  const before = picture.src
  const start = performance.now()
  slider.value = value
  slider.dispatchEvent(new Event('input', { bubbles: true }))
  while (picture.src === before) await new Promise((done) => setTimeout(done, 5))
  return performance.now() - start
}"""


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as base:
        add_stand_ins(Path(base))
        face_files.lend(Path(base))
        with ComfyServer((), base=base) as server, open_page(server, size=LAPTOP) as page:
            page.evaluate(OPEN, [TEMPLATES["au_generate"].title, False])
            page.wait_for_function(MARK)
            found = page.evaluate(DRAG, MOVES)
            _say("slider to drawn face", found["drawn"])
            _say("between frames while dragging", found["frames"])
            _measure_drafts(page)


def _measure_drafts(page: Page) -> None:
    page.locator("[data-measured]").get_by_label("Live").click()
    page.locator("[data-measured] .aua-picture img").wait_for()
    page.wait_for_timeout(3000)  # for the whole picture that Live begins with
    times = [page.evaluate(DRAFT, 0.5 + number) for number in range(DRAFTS)]
    print(
        f"first draft: {times[0]:.0f} ms; later ones: {', '.join(f'{t:.0f}' for t in times[1:])} ms"
    )


def _say(what: str, times: list[float]) -> None:
    times = sorted(times)
    late = times[int(0.95 * len(times))]
    print(
        f"{what}: median {statistics.median(times):.1f} ms, 95 % within {late:.1f} ms", flush=True
    )


if __name__ == "__main__":
    main()
