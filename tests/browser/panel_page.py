"""The AU panel in ComfyUI's page: opening it in a renderer, and what it and the queue say."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Locator, Page

PACK = "au-adapter"
AU_VECTOR = "4"  # of au_generate
NODES_2 = "Comfy.VueNodes.Enabled"
RENDERERS = {"classic": False, "nodes_2": True}

OPEN = """async ([pack, name]) => {
  const answer = await fetch(`/api/workflow_templates/${pack}/${name}.json`)
  await app.loadGraphData(await answer.json(), true, true, name, { openSource: 'template' })
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
QUEUED = "async () => (await app.graphToPrompt()).output"
SAVED = "(id) => app.graph.getNodeById(id).serialize().widgets_values"
# What the drawing shows, as one text.
DRAWN = "(panel) => panel.querySelector('.aua-face > svg').innerHTML"


def open_panel(page: Page, renderer: str, name: str = "au_generate") -> Locator:
    """A shipped workflow in one of the renderers, its AU Vector large in the middle of the page."""
    page.evaluate(
        "([name, on]) => app.extensionManager.setting.set(name, on)", [NODES_2, RENDERERS[renderer]]
    )
    page.evaluate(OPEN, [PACK, name])
    return panel_of(page, AU_VECTOR)


def panel_of(page: Page, node: str) -> Locator:
    """The panel of a node, brought to the middle of the page and waited for."""
    page.wait_for_function(
        "(id) => app.graph.getNodeById(id)?.widgets.at(-1).element?.querySelector('.aua-panel')",
        arg=node,
    )
    page.evaluate(APART, node)
    page.evaluate(LOOK_AT, [node, 1.2])
    page.evaluate(
        "(id) => app.graph.getNodeById(id).widgets.at(-1).element.dataset.testNode = id", node
    )
    panel = page.locator(f'[data-test-node="{node}"] .aua-panel')
    panel.locator(".aua-face").wait_for()
    _rest(page, panel)
    return panel


def _rest(page: Page, panel: Locator) -> None:
    """Wait until the canvas has brought the panel to its place: two equal looks in a row."""
    before = None
    while (now := panel.bounding_box()) != before:
        before = now
        page.evaluate("() => new Promise((done) => setTimeout(done, 150))")


def values(page: Page, node: str = AU_VECTOR) -> dict[str, Any]:
    """What would be queued of an AU Vector: its AUs that are not 0, and its notation."""
    inputs = page.evaluate(QUEUED)[node]["inputs"]
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
