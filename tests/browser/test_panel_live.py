"""Live: drafts while one drags, the picture on release; what the server was asked tells."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from panel_page import RENDERERS, open_panel, plain, slider
from playwright.sync_api import Page, Route, expect
from shipped import api_graph

from tools import frontend
from tools.server import ComfyServer

CACHING = True  # of the server, as a person has it
SAMPLER = api_graph("au_generate")["8"]["inputs"]
STEPS, SEED = SAMPLER["steps"], SAMPLER["seed"]
ON_DRAFT = """(panel) => panel.querySelector('.aua-picture img').src.includes('type=temp')"""


@pytest.fixture(scope="module")
def page(server: ComfyServer) -> Iterator[Page]:
    with frontend.open_page(server) as page:
        yield page


def _graphs(server: ComfyServer) -> list[dict[str, Any]]:
    """What has run, in order."""
    entries = sorted(server.get("/history").values(), key=lambda entry: entry["prompt"][0])
    return [plain(entry["prompt"][2]) for entry in entries]


def _is_draft(graph: dict[str, Any]) -> bool:
    """Whether it ends in the preview that only a draft has."""
    return any(key.startswith("aua_draft_") for key in graph)


def _wait(
    page: Page, server: ComfyServer, done: Callable[[list[dict[str, Any]]], bool]
) -> list[dict[str, Any]]:
    """Wait until what has run is enough and nothing is left."""
    while True:
        queue = server.get("/queue")
        ran = _graphs(server)
        if done(ran) and not queue["queue_running"] and not queue["queue_pending"]:
            return ran
        page.evaluate("() => new Promise((done) => setTimeout(done, 50))")


@pytest.mark.parametrize("renderer", RENDERERS)
def test_drafts_while_dragging_and_the_picture_on_release(
    page: Page, server: ComfyServer, renderer: str
) -> None:
    panel = open_panel(page, renderer)
    already = len(_graphs(server))
    live = panel.get_by_label("Live")
    live.click()
    expect(live).to_have_attribute("aria-pressed", "true")
    _wait(page, server, lambda ran: len(ran) > already)
    box = slider(panel, 4).bounding_box()
    height = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 6, height)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.5 * box["width"], height, steps=10)
    page.wait_for_function(ON_DRAFT, arg=panel.element_handle())
    drafted = len(_wait(page, server, lambda ran: len(ran) > already + 1))
    page.mouse.move(box["x"] + box["width"], height)
    page.mouse.up()
    ran = _wait(page, server, lambda ran: len(ran) > drafted and not _is_draft(ran[-1]))
    *more, last = ran[already + 1 :]
    for graph in more:
        assert _is_draft(graph) and graph["8"]["inputs"]["steps"] < STEPS
    assert len(more) < 10  # of ten moves, those that came while one ran were left out
    assert not _is_draft(last) and last["8"]["inputs"]["steps"] == STEPS
    assert last["4"]["inputs"]["au4"] == 5
    assert {graph["8"]["inputs"]["seed"] for graph in [*more, last]} == {SEED}
    expect(panel.locator(".aua-picture img")).to_be_visible()
    live.click()
    expect(live).to_have_attribute("aria-pressed", "false")


@pytest.mark.parametrize("renderer", RENDERERS)
def test_a_run_waits_for_words_that_were_just_typed(
    page: Page, server: ComfyServer, renderer: str
) -> None:
    def late(route: Route) -> None:
        time.sleep(0.5)
        route.continue_()

    panel = open_panel(page, renderer)
    already = len(_graphs(server))
    page.route("**/au_adapter/words*", late)
    panel.locator(".aua-text").click(click_count=3)
    page.keyboard.type("sceptical smile")  # as a person, so that leaving the field is a change
    page.get_by_test_id("queue-button").click()
    asked = _wait(page, server, lambda ran: len(ran) > already)[-1]["4"]["inputs"]
    page.unroute("**/au_adapter/words*")
    assert (asked["au12"], asked["notation"]) == (3, "R2C+L4B")


def test_a_graph_that_cannot_run_switches_it_off_and_says_why(
    page: Page, server: ComfyServer
) -> None:
    panel = open_panel(page, "classic")
    page.evaluate("() => app.graph.nodes.find(({ subgraph }) => subgraph).disconnectInput(0)")
    live = panel.get_by_label("Live")
    live.click()
    expect(panel.get_by_role("alert")).not_to_be_empty()
    expect(live).to_have_attribute("aria-pressed", "false")
