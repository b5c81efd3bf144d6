"""The AU panel in ComfyUI's page: opening it in a renderer, and what it and the queue say."""

from __future__ import annotations

from itertools import count
from typing import Any

from playwright.sync_api import Locator, Page, Response

from tools.newest_frontend import STATIC
from tools.server import ComfyServer
from tools.templates import TEMPLATES

PACK = "au-adapter"
AU_VECTOR = "4"  # of au_generate
NODES_2 = "Comfy.VueNodes.Enabled"
RENDERERS = {"classic": False, "nodes_2": True}
# The page's frontends: ComfyUI's own, and the newest (tools/newest_frontend.py).
FRONTENDS = {"own": None, "newest": STATIC}

# As a template is opened, but in the graph where it would open as an app.
OPEN = """async ([pack, title]) => {
  const answer = await fetch(`/api/workflow_templates/${pack}/${title}.json`)
  const graph = await answer.json()
  graph.extra.linearMode = false
  await app.loadGraphData(graph, true, true, title, { openSource: 'template' })
  // A page that was in the app stays there.
  if (document.querySelector('[data-testid="linear-widgets"]'))
    await app.extensionManager.command.execute('Comfy.ToggleLinear')
}"""
LOOK_AT = """([id, scale]) => {
  const node = app.graph.getNodeById(id)
  app.canvas.ds.scale = scale
  app.canvas.centerOnNode(node)
  app.canvas.selectItems([node])
  app.canvas.bringToFront(node)
}"""
# Where no other node can cover it.
APART = """(id) => {
  const node = app.graph.getNodeById(id)
  node.pos = [Number(id) * 700, 2000]
  node.setSize([600, 640])
}"""
LONG = 1800  # seconds
MARKS = count()
QUEUED = "async () => (await app.graphToPrompt()).output"
SAVED = "(id) => app.graph.getNodeById(id).serialize().widgets_values"
# What the drawing shows, as one text.
DRAWN = "(panel) => panel.querySelector('.aua-face > svg').innerHTML"


def open_panel(page: Page, renderer: str, name: str = "au_generate") -> Locator:
    """A shipped workflow in one of the renderers, its AU Vector large in the middle of the page."""
    page.evaluate(
        "([name, on]) => app.extensionManager.setting.set(name, on)", [NODES_2, RENDERERS[renderer]]
    )
    page.evaluate(OPEN, [PACK, TEMPLATES[name].title])
    return panel_of(page, AU_VECTOR)


def panel_of(page: Page, node: str) -> Locator:
    """The panel of a node, brought to the middle of the page and waited for."""
    page.wait_for_function(
        "(id) => app.graph.getNodeById(id)?.widgets.at(-1).element?.querySelector('.aua-panel')",
        arg=node,
    )
    page.evaluate(APART, node)
    page.evaluate(LOOK_AT, [node, 1.2])
    # The element of a graph before may have stayed in the page for some frames: each its own mark.
    mark = f"{node}-{next(MARKS)}"
    page.evaluate(
        "([id, mark]) => app.graph.getNodeById(id).widgets.at(-1).element.dataset.testNode = mark",
        [node, mark],
    )
    panel = page.locator(f'[data-test-node="{mark}"] .aua-panel')
    panel.locator(".aua-face").wait_for()
    _rest(page, panel)
    return panel


def _rest(page: Page, panel: Locator) -> None:
    """Wait until the canvas has brought the panel to its place: two equal looks in a row."""
    before = None
    while (now := panel.bounding_box()) != before:
        before = now
        page.evaluate("() => new Promise((done) => setTimeout(done, 150))")


def plain(graph: dict[str, Any]) -> dict[str, Any]:
    """A queued graph with the nodes of parts under their own ids: "12:8" is "8"."""

    def own(value: Any) -> Any:
        return [value[0].split(":")[-1], value[1]] if isinstance(value, list) else value

    return {
        key.split(":")[-1]: {
            **node,
            "inputs": {name: own(value) for name, value in node["inputs"].items()},
        }
        for key, node in graph.items()
    }


def press_run(page: Page, server: ComfyServer) -> dict[str, Any]:
    """Press Run; returns the history entry of what it queued, once the server has finished it.

    It waits for the server's answer to the page and for its history, not for the clock: the limits
    are for a page that sends nothing at all.
    """
    return server.wait(queue_run(page), timeout=LONG)


def queue_run(page: Page) -> str:
    """Press Run; returns the id of the prompt, once the server has answered."""
    with page.expect_response(_is_prompt, timeout=LONG * 1000) as answer:
        page.get_by_test_id("queue-button").click()
    return answer.value.json()["prompt_id"]


def _is_prompt(response: Response) -> bool:
    return response.request.method == "POST" and response.url.endswith("/api/prompt")


def values(page: Page, node: str = AU_VECTOR) -> dict[str, Any]:
    """What would be queued of an AU Vector: its AUs that are not 0, and its notation."""
    inputs = plain(page.evaluate(QUEUED))[node]["inputs"]
    return {name: value for name, value in inputs.items() if value and name != "au_vector"}


def slider(panel: Locator, unit: int) -> Locator:
    return panel.locator(f'[data-unit="{unit}"] input[type="range"]').first


def write(panel: Locator, text: str) -> None:
    """Put a text into the field for notation, and leave it."""
    field = panel.locator(".aua-text")
    field.fill(text)
    field.press("Enter")


def drag(page: Page, place: Locator, right: float, down: float) -> None:
    """Press on the middle of a place, move by pixels, and let go."""
    box = place.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + right, y + down, steps=5)
    page.mouse.up()
