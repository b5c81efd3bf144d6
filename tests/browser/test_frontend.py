"""ComfyUI's real page on a real server: templates, sliders, running, bypass, help.

On both frontends, except for tests that draw for long and concern the server more than the page.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from panel_page import NODES_2, OPEN, PACK, QUEUED, plain, press_run
from PIL import Image
from playwright.sync_api import FloatRect, Locator, Page, expect
from shipped import DRAWN, KEPT, NAMES, api_graph

from tools import frontend
from tools.server import ROOT, ComfyServer, template_path
from tools.templates import TEMPLATES, page_graph

SCREENSHOTS = ROOT / ".cache" / "screenshots"
AU_VECTOR, APPLY, SAMPLER, PICTURE = "4", "6", "8", "10"
CLIP = "au_animation"  # the page plays it
TEXT_ON_NODE = "$$node-text-preview"

HAS_SLIDERS = "app.graph.nodes.some((node) => node.type === 'AUA_AUVector')"
SHOWN = """([id, file, count, width]) => {
  const pictures = app.graph.getNodeById(id).imgs ?? []
  return pictures.length === count &&
    pictures.every((picture) => picture.complete && picture.naturalWidth === width) &&
    pictures.some((picture) => picture.src.includes(encodeURIComponent(file)))
}"""
HAS_WIDGET = """([id, name]) =>
  app.graph.getNodeById(id).widgets?.some((widget) => widget.name === name)
"""
WIDGET_VALUE = """([id, name]) =>
  app.graph.getNodeById(id).widgets.find((widget) => widget.name === name).value
"""
BYPASS = """(id) => {
  const parts = [...app.rootGraph.subgraphs.values()].flatMap(({ nodes }) => nodes)
  parts.find((node) => Number(node.id) === id).mode = 4
}"""
SELECT = "(id) => app.canvas.selectItems([app.graph.getNodeById(id)])"
LOOK_AT = """([id, scale]) => {
  app.canvas.ds.scale = scale
  app.canvas.centerOnNode(app.graph.getNodeById(id))
}"""
UNKNOWN_NODES = """() =>
  app.graph.nodes.map((node) => node.type).filter((type) => !LiteGraph.registered_node_types[type])
"""


ADDRESS = template_path("au_generate")
OWN_FRONTEND = pytest.mark.parametrize("server", ["own"], indirect=True)


def test_the_address_of_make_comfyui_opens_a_workflow(page: Page) -> None:
    page.wait_for_function(HAS_SLIDERS)
    _photograph(page, "address")


def test_the_template_browser_offers_them_and_opens_one(page: Page) -> None:
    page.evaluate("app.extensionManager.command.execute('Comfy.BrowseTemplates')")
    for name in NAMES:
        title = TEMPLATES[name].title
        page.get_by_placeholder("Search ...").fill(title)  # the whole list loads as one scrolls
        picture = page.get_by_test_id(f"template-workflow-{title}").locator("img").first
        picture.scroll_into_view_if_needed()
        expect(picture).to_have_js_property("naturalWidth", 384)
    _photograph(page, "templates")
    page.evaluate("app.graph.clear()")
    page.get_by_placeholder("Search ...").fill("smile")
    page.get_by_test_id(f"template-workflow-{TEMPLATES['au_generate'].title}").click()
    page.wait_for_function(HAS_SLIDERS)
    assert page.evaluate(UNKNOWN_NODES) == []
    expect(page.get_by_role("dialog")).to_have_count(0)
    _photograph(page, "au_generate")


@pytest.mark.parametrize("name", NAMES)
def test_a_template_queues_its_api_form(page: Page, server: ComfyServer, name: str) -> None:
    _open(page, name)
    known, expected = server.get("/object_info"), page_graph(name)
    queued = plain(page.evaluate(QUEUED))
    assert queued.keys() == expected.keys()
    for key, node in expected.items():
        kind = node["class_type"]
        assert queued[key]["class_type"] == kind
        assert queued[key]["inputs"] == {**_defaults(known[kind]), **node["inputs"]}


def test_a_moved_slider_changes_what_is_queued(page: Page) -> None:
    _open(page, "au_generate")
    before = plain(page.evaluate(QUEUED))
    assert before[AU_VECTOR]["inputs"]["au12"] == 2.5
    _drag(page, "au12", 0.5, 0.3)
    after = plain(page.evaluate(QUEUED))
    assert after[AU_VECTOR]["inputs"]["au12"] == pytest.approx(1.5, abs=0.1)
    after[AU_VECTOR]["inputs"]["au12"] = 2.5
    assert after == before
    for end, value in ((1.0, 5), (0.0, 0)):
        _drag(page, "au12", 0.5, end)
        assert page.evaluate(QUEUED)[AU_VECTOR]["inputs"]["au12"] == value
    _photograph(page, "slider")


@OWN_FRONTEND
@pytest.mark.parametrize("name", sorted({*DRAWN} - {CLIP}))
def test_run_brings_the_pictures_into_the_page(page: Page, server: ComfyServer, name: str) -> None:
    _open(page, name)
    shown = _saved(name)
    pictures = _run(page, server, shown)
    drawn = server.images(server.wait(server.post_prompt(page_graph(name))), shown)
    assert np.array_equal(pictures, _pixels(drawn))
    _photograph(page, f"{name}_run")


def test_a_clip_plays_in_the_page(page: Page, server: ComfyServer) -> None:
    _open(page, CLIP)
    press_run(page, server)
    page.wait_for_function(HAS_WIDGET, arg=[PICTURE, "$$comfy_animation_preview"])
    _photograph(page, f"{CLIP}_run")


@OWN_FRONTEND
@pytest.mark.parametrize(
    ("name", "node", "begins"),
    [
        ("au_two_faces", AU_VECTOR, "enjoyment smile: 6C+12D+25C ("),
        ("magicface_words", AU_VECTOR, "brows strongly raised"),
    ],
)
def test_a_node_says_on_itself_what_it_found(
    page: Page, server: ComfyServer, name: str, node: str, begins: str
) -> None:
    """The value of the widget in which ComfyUI shows a node's text; it is not saved."""
    _open(page, name)
    _run(page, server, _saved(name))
    page.wait_for_function(HAS_WIDGET, arg=[node, TEXT_ON_NODE])
    text = page.evaluate(WIDGET_VALUE, [node, TEXT_ON_NODE])
    assert text.startswith(begins)
    assert text not in str(page.evaluate("app.graph.serialize().nodes"))


@pytest.mark.parametrize("version", sorted(path.name for path in KEPT.iterdir()))
def test_a_workflow_saved_by_an_earlier_version_queues_what_it_did(
    page: Page, version: str
) -> None:
    saved = (KEPT / version / "every_node.json").read_text(encoding="utf-8")
    page.evaluate("(saved) => app.loadGraphData(JSON.parse(saved))", saved)
    queued = page.evaluate(QUEUED)
    kept = json.loads((KEPT / version / "every_node_api.json").read_text(encoding="utf-8"))
    assert queued.keys() == kept.keys()
    for key, node in kept.items():
        assert queued[key]["class_type"] == node["class_type"]
        found = queued[key]["inputs"]
        assert {name: found[name] for name in node["inputs"]} == node["inputs"]
    _photograph(page, f"kept_{version}")


def test_a_moved_slider_changes_the_picture(page: Page, server: ComfyServer) -> None:
    _open(page, "au_generate")
    _drag(page, "au12", 0.8, 0.0)
    graph = api_graph("au_generate")
    before = _draw(server, graph)
    graph[AU_VECTOR]["inputs"]["au12"] = 0.0
    found = _run(page, server)
    assert np.array_equal(found, _draw(server, graph)) and not np.array_equal(found, before)


@OWN_FRONTEND
def test_bypassed_the_model_draws_without_it(page: Page, server: ComfyServer) -> None:
    _open(page, "au_generate")
    page.evaluate(BYPASS, int(APPLY))
    assert APPLY not in plain(page.evaluate(QUEUED))
    assert np.array_equal(_run(page, server), _draw(server, _without_adapter("au_generate")))
    _photograph(page, "bypassed")


def test_the_help_page_is_shown(page: Page) -> None:
    _open(page, "au_generate")
    page.evaluate(LOOK_AT, [AU_VECTOR, 0.7])
    page.evaluate(SELECT, AU_VECTOR)
    page.get_by_test_id("info-button").click()
    text = (ROOT / "web" / "docs" / "AUA_AUVector.md").read_text(encoding="utf-8")
    sentence = re.search(r"^A facial expression as numbers.*$", text, re.MULTILINE).group()
    expect(page.get_by_text(sentence)).to_be_visible()
    expect(page.get_by_role("cell", name="surprise")).to_be_visible()
    for picture in ("au_panel.jpg", "pictures/au12.jpg"):
        shown = page.locator(f'img[src$="{picture}"]')
        expect(shown).to_be_attached()
        assert shown.evaluate("(img) => img.decode().then(() => img.naturalWidth)") > 100, picture
    _photograph(page, "help")


def test_nodes_2_keeps_the_rare_units_behind_a_button(page: Page) -> None:
    _open(page, "au_generate")
    page.evaluate(LOOK_AT, [AU_VECTOR, 0.9])
    page.evaluate("(name) => app.extensionManager.setting.set(name, true)", NODES_2)
    try:
        node = page.locator(f'[data-node-id="{AU_VECTOR}"]')
        node.get_by_label("Plain sliders").click()
        often, rare = node.get_by_text("AU12 lip corner puller"), node.get_by_text("AU14 dimpler")
        expect(often).to_be_visible()
        expect(rare).to_have_count(0)
        _photograph(page, "nodes_2")
        node.get_by_test_id("advanced-inputs-button").click()
        expect(rare).to_be_visible()
        _photograph(page, "nodes_2_advanced")
    finally:
        page.evaluate("(name) => app.extensionManager.setting.set(name, false)", NODES_2)


@OWN_FRONTEND
def test_without_a_browser_one_sentence_says_what_to_install(
    server: ComfyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frontend, "find_browser", lambda: None)
    with (
        pytest.raises(frontend.NoBrowserError, match="install Chromium .*Chrome or .*Edge"),
        frontend.open_page(server),
    ):
        raise AssertionError("opened without a browser")


def _open(page: Page, name: str) -> None:
    """A shipped workflow as the template browser opens it, unchanged."""
    page.evaluate(OPEN, [PACK, TEMPLATES[name].title])
    page.wait_for_timeout(500)  # it fits the view, then draws


def _saved(name: str) -> str:
    """The node of the pictures that a workflow saves, and its template previews."""
    return next(key for key, node in api_graph(name).items() if node["class_type"] == "SaveImage")


def _steady_box(place: Locator) -> FloatRect:
    """Where something lies once it no longer moves: a page that was just opened fits its view."""
    boxes: list[FloatRect | None] = []
    while len(boxes) < 100:
        boxes.append(place.bounding_box())
        if boxes[-1] and boxes[-6:] == 6 * boxes[-1:]:
            return boxes[-1]
        place.page.wait_for_timeout(100)
    raise AssertionError(f"it moved to the end: {boxes[-3:]}")


def _drag(page: Page, slider: str, start: float, end: float) -> None:
    """Drag along a slider of the AU panel, from one share of its way to another."""
    unit = slider.removeprefix("au")
    track = page.locator(f'.aua-panel:visible [data-unit="{unit}"] input[type="range"]').first
    track.scroll_into_view_if_needed()
    box = _steady_box(track)
    thumb = 6 * box["width"] / track.evaluate("(input) => input.offsetWidth")  # half of it
    x, y = box["x"] + thumb, box["y"] + box["height"] / 2
    page.mouse.move(x + start * (box["width"] - 2 * thumb), y)
    page.mouse.down()
    page.mouse.move(x + end * (box["width"] - 2 * thumb), y, steps=5)
    page.mouse.up()


def _run(page: Page, server: ComfyServer, shown: str = PICTURE) -> np.ndarray:
    """Press Run, wait until the page shows the pictures, and return them, uint8 [N, H, W, 3]."""
    history = press_run(page, server)
    files = [image["filename"] for image in history["outputs"][shown]["images"]]
    pictures = _pixels(server.images(history, shown))
    page.wait_for_function(SHOWN, arg=[shown, files[0], len(files), pictures.shape[2]])
    return pictures


def _draw(server: ComfyServer, graph: dict[str, Any]) -> np.ndarray:
    return _pixels(server.images(server.wait(server.post_prompt(graph)), PICTURE))


def _pixels(pictures: list[Image.Image]) -> np.ndarray:
    return np.stack([np.asarray(picture.convert("RGB")) for picture in pictures])


def _without_adapter(name: str) -> dict[str, Any]:
    """The workflow as someone would build it who has no AU-Adapter, only its base model."""
    graph = api_graph(name)
    source = graph[APPLY]["inputs"]
    graph[SAMPLER]["inputs"].update({k: source[k] for k in ("model", "positive", "negative")})
    ours = ("AUA_AUVector", "AUA_AUEncoder", "AUA_ApplyAUAdapter")
    return {key: node for key, node in graph.items() if node["class_type"] not in ours}


def _defaults(info: dict[str, Any]) -> dict[str, Any]:
    """What the page fills in for a node's widgets that a graph does not mention."""
    specs = {**info["input"].get("required", {}), **info["input"].get("optional", {})}
    options = {name: (spec[1] if len(spec) > 1 else {}) for name, spec in specs.items()}
    return {name: option["default"] for name, option in options.items() if "default" in option}


def _photograph(page: Page, name: str) -> Path:
    page.wait_for_timeout(700)  # animations
    path = SCREENSHOTS / f"{name}.png"
    page.screenshot(path=path)
    return path
