"""What a person types leads to the right node first, and the page speaks her language."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page
from shipped import shipped_server

from tools import frontend
from tools.collect_words import LANGUAGES, read_words
from tools.server import ComfyServer

FIRST = {
    "smile": "AU Vector",
    "eyebrow": "AU Vector",
    "muscle": "AU Vector",
    "AU12": "AU Vector",
    "facial expression": "AU Vector",
    "happy": "AU Expression",
    "angry": "AU Expression",
    "change expression": "Apply MagicFace",
    "copy expression": "AU Change",
    "read expression": "AU Estimator",
    "face animation": "AU Keyframes",
    "FineFace": "Load AU-Adapter",
}
# The page puts a well-known node before ours where it finds in it a word that is spelt alike.
AMONG_THREE = {"wink": "AU Vector", "mouth": "AU Vector"}
STORE = "document.querySelector('#vue-app').__vue_app__.config.globalProperties.$pinia._s"
KNOWN = f"() => {STORE}.get('nodeFrequency')?.isLoaded"  # what it ranks by, and loads last
FOUND = f"""(words) => {STORE}.get('nodeDef').nodeSearchService.searchNode(words)
  .slice(0, 3).map((node) => node.display_name)"""
# What the page says of a node: its name, its category, the label and the tooltip of a widget.
SAID = """() => {
  const node = LiteGraph.createNode('AUA_AUVector')
  const kind = node.constructor.nodeData
  const slider = node.widgets.find((widget) => widget.name === 'au12')
  return [kind.display_name, kind.category, slider.label]
}"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComfyServer]:
    with shipped_server(tmp_path_factory.mktemp("words")) as server:
        yield server


@pytest.fixture(scope="module")
def page(server: ComfyServer) -> Iterator[Page]:
    with frontend.open_page(server) as page:
        yield page


def test_plain_words_lead_to_the_right_node_first(page: Page) -> None:
    page.wait_for_function(KNOWN)
    assert {words: page.evaluate(FOUND, words)[0] for words in FIRST} == FIRST


@pytest.mark.parametrize(("words", "node"), AMONG_THREE.items())
def test_words_that_lead_to_it_among_the_first(page: Page, words: str, node: str) -> None:
    page.wait_for_function(KNOWN)
    assert node in page.evaluate(FOUND, words)


def test_the_page_speaks_four_languages(page: Page, server: ComfyServer) -> None:
    for language in (*LANGUAGES, "en"):
        server.post("/settings", {"Comfy.Locale": language})
        page.reload()
        page.wait_for_function(frontend.READY)
        name, category, slider = page.evaluate(SAID)
        words = read_words(language)["AUA_AUVector"]
        assert (name, slider) == (words["display_name"], words["inputs"]["au12"]["name"])
        assert category.startswith("AU-Adapter/") and (language == "en" or not category.isascii())
