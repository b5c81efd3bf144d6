"""Every template as it opens on a laptop, on both frontends and in both renderers; the apps; the
blueprint of the node library."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from panel_page import (
    LONG,
    NODES_2,
    OPEN,
    PACK,
    QUEUED,
    RENDERERS,
    plain,
    press_run,
    queue_run,
    slider,
)
from playwright.sync_api import Locator, Page, expect
from shipped import NAMES

from tools import blueprint, frontend
from tools.face_files import PHOTOS
from tools.photograph_panel import OPEN as OPEN_AS
from tools.photograph_templates import LAPTOP
from tools.server import ComfyServer, PromptError
from tools.templates import TEMPLATES

LEAST = 8  # pixels of a title's letters, of which 14 are at scale 1: less, and ComfyUI draws none
# The scale, and the place of every node on the screen with its title: [left, top, right, bottom].
PLACES = """(drawn) => {
  const { ds, canvas } = app.canvas
  const frame = canvas.getBoundingClientRect()
  const place = (node) => {
    const element = drawn && document.querySelector(`[data-node-id="${node.id}"]`)
    if (element) {
      const { left, top, right, bottom } = element.getBoundingClientRect()
      return [left, top, right, bottom]
    }
    const x = frame.left + (node.pos[0] + ds.offset[0]) * ds.scale
    const y = frame.top + (node.pos[1] - LiteGraph.NODE_TITLE_HEIGHT + ds.offset[1]) * ds.scale
    const height = (node.size[1] + LiteGraph.NODE_TITLE_HEIGHT) * ds.scale
    return [x, y, x + node.size[0] * ds.scale, y + height]
  }
  return { scale: ds.scale, nodes: app.graph.nodes.map((node) => [node.title, place(node)]) }
}"""


# The AU Vector of the app that is open, of which older panels may still be in the page.
MARK = """() => {
  document.querySelectorAll('[data-of-app]').forEach((old) => delete old.dataset.ofApp)
  app.graph.getNodeById(4).widgets.at(-1).element.dataset.ofApp = 'yes'
}"""
MARKED = "[data-of-app] .aua-panel"
# Top, bottom and width of what stands in the column, and of the head alone.
COLUMN = """(panel) => {
  const place = (element) => {
    const { top, bottom, width } = element.getBoundingClientRect()
    return { top, bottom, width }
  }
  const names = ['notation', 'face', 'tools', 'remarks', 'lists']
  const parts = names.map((name) => place(panel.querySelector(`.aua-${name}`)))
  const head = [...panel.querySelectorAll('.aua-face > svg > path')].map(place)
  return { column: place(panel).width, parts, head: Math.max(...head.map(({ width }) => width)) }
}"""
SET = """([id, name, value]) => {
  app.graph.getNodeById(id).widgets.find((widget) => widget.name === name).value = value
}"""


@pytest.fixture(scope="module")
def page(server: ComfyServer) -> Iterator[Page]:
    with frontend.open_page(server, size=LAPTOP) as page:
        yield page


@pytest.mark.parametrize("renderer", RENDERERS)
def test_every_template_can_be_read_and_nothing_overlaps(page: Page, renderer: str) -> None:
    on = RENDERERS[renderer]
    page.evaluate("([name, on]) => app.extensionManager.setting.set(name, on)", [NODES_2, on])
    problems = {}
    for name in NAMES:
        page.evaluate(OPEN, [PACK, TEMPLATES[name].title])
        found = _settled(page, on)
        problems[name] = _problems(found)
    assert not any(problems.values()), problems


def test_an_app_opens_with_the_face_beside_the_picture(page: Page, server: ComfyServer) -> None:
    page.evaluate("(name) => app.extensionManager.setting.set(name, false)", NODES_2)
    panel = _open_app(page, "au_generate")
    field = panel.locator(".aua-text")
    field.fill("sceptical smile")
    field.press("Enter")
    expect(panel.get_by_role("alert")).to_contain_text("AU14")
    queued = plain(page.evaluate(QUEUED))["4"]["inputs"]
    assert queued["au12"] == 3 and queued["notation"] == "R2C+L4B"
    run = page.get_by_test_id("linear-run-button").get_by_role("button", name="Run")
    with page.expect_response("**/api/prompt", timeout=LONG * 1000) as answer:
        run.click()
    history = server.wait(answer.value.json()["prompt_id"], timeout=LONG)
    file = history["outputs"]["10"]["images"][0]["filename"]
    shown = page.get_by_test_id("linear-outputs").locator(f'img[src*="{file}"]')
    expect(shown.first).to_be_attached()


@pytest.mark.parametrize("renderer", RENDERERS)
def test_an_app_opened_again_and_after_another_shows_its_face(page: Page, renderer: str) -> None:
    on = RENDERERS[renderer]
    page.evaluate("([name, on]) => app.extensionManager.setting.set(name, on)", [NODES_2, on])
    for name in ("au_generate", "au_generate", "magicface_edit", "au_generate"):
        _open_app(page, name)
    page.evaluate(OPEN, [PACK, TEMPLATES["au_generate"].title])
    panel = page.locator(f'[data-node-id="4"] {MARKED}' if on else f".dom-widget {MARKED}")
    page.evaluate(MARK)
    expect(panel.locator(".aua-face")).to_be_visible()


def test_an_app_draws_a_large_face_between_its_text_and_its_sliders(page: Page) -> None:
    panel = _open_app(page, "au_generate")
    found = panel.evaluate(COLUMN)
    assert found["head"] > 0.7 * found["column"]
    for above, below in pairwise(found["parts"]):
        assert above["bottom"] <= below["top"]
    jaw = slider(panel, 26)
    jaw.scroll_into_view_if_needed()
    jaw.focus()
    page.keyboard.press("End")
    assert plain(page.evaluate(QUEUED))["4"]["inputs"]["au26"] == 5
    expect(panel.locator(".aua-face")).to_be_in_viewport()


def test_the_blueprint_is_one_node_with_named_sliders(page: Page, server: ComfyServer) -> None:
    listed = server.get("/global_subgraphs")
    (key,) = (key for key, entry in listed.items() if entry["name"] == blueprint.TITLE)
    graph = server.get(f"/global_subgraphs/{key}")["data"]
    page.evaluate("(graph) => app.loadGraphData(JSON.parse(graph))", graph)
    page.wait_for_function("() => app.graph.nodes.length === 1")
    labels = page.evaluate("() => app.graph.nodes[0].widgets.map((w) => w.label ?? w.name)")
    assert "Smile (AU12)" in labels and "strength" in labels
    queued = page.evaluate(QUEUED).values()
    assert {node["class_type"] for node in queued} == {
        "AUA_AUVector",
        "AUA_AUEncoder",
        "AUA_ApplyAUAdapter",
    }


def test_an_error_of_ours_says_why_in_a_toast(page: Page, server: ComfyServer) -> None:
    page.evaluate(OPEN, [PACK, TEMPLATES["au_generate"].title])
    page.evaluate(SET, [4, "au14", 3])
    with pytest.raises(PromptError, match="AU Encoder: .*AU14"):
        press_run(page, server)
    expect(page.get_by_text("AU14 set, but only", exact=False).first).to_be_visible()


def test_a_photograph_for_the_bundled_magicface_is_spoken_of_before_it_is_drawn(
    page: Page, server: ComfyServer
) -> None:
    shutil.copyfile(PHOTOS / "astronaut.png", server.base / "input" / "astronaut.png")
    page.evaluate(OPEN, [PACK, TEMPLATES["magicface_edit_demo"].title])
    page.evaluate(SET, [3, "image", "astronaut.png"])
    prompt = queue_run(page)
    expect(page.get_by_text("this looks like a photograph", exact=False).first).to_be_visible()
    server.wait(prompt, timeout=LONG)


def _open_app(page: Page, name: str) -> Locator:
    """The panel of a template that opens as an app, in the app's column."""
    page.evaluate(OPEN_AS, [TEMPLATES[name].title, True])
    page.evaluate(MARK)
    panel = page.get_by_test_id("linear-widgets").locator(MARKED)
    expect(panel.locator(".aua-face")).to_be_visible()
    return panel


def _settled(page: Page, drawn: bool) -> dict[str, Any]:
    """The places of the nodes once they no longer move."""
    before = None
    while (now := page.evaluate(PLACES, drawn)) != before:
        before = now
        page.wait_for_timeout(300)
    return now


def _problems(found: dict[str, Any]) -> list[str]:
    said = []
    if 14 * found["scale"] < LEAST:
        said.append(f"too small: {found['scale']:.2f}")
    nodes = found["nodes"]
    for index, (title, place) in enumerate(nodes):
        if place[0] < 0 or place[1] < 0 or place[2] > LAPTOP[0] or place[3] > LAPTOP[1]:
            said.append(f"{title} leaves the screen")
        said += [f"{title} over {other}" for other, box in nodes[:index] if _overlap(place, box)]
    return said


def _overlap(one: list[float], other: list[float]) -> bool:
    apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
    return not apart
