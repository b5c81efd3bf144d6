"""The servers of the page tests, and how long these wait for what the page shows: a limit for a
page that fails, far beyond what a busy machine takes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from panel_page import FRONTENDS
from playwright.sync_api import Page, expect
from shipped import shipped_server

from tools import frontend
from tools.server import ComfyServer

expect.set_options(timeout=120_000)


@pytest.fixture(scope="module", params=FRONTENDS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ComfyServer]:
    """A server for each frontend. CACHING of the module: it keeps results between runs."""
    base, caching = tmp_path_factory.mktemp("comfyui"), getattr(request.module, "CACHING", False)
    with shipped_server(base, caching=caching, frontend=FRONTENDS[request.param]) as server:
        yield server


@pytest.fixture(scope="module")
def opened(request: pytest.FixtureRequest, server: ComfyServer) -> Iterator[tuple[Page, list[str]]]:
    """The page at the module's ADDRESS, and what goes wrong in it."""
    with frontend.open_page(server, getattr(request.module, "ADDRESS", "/")) as page:
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        yield page, errors


@pytest.fixture
def page(opened: tuple[Page, list[str]]) -> Iterator[Page]:
    """The page; a test fails when an error happened in it, caught or shown."""
    page, errors = opened
    errors.clear()
    yield page
    expect(page.locator(".p-toast-message-error")).to_have_count(0)
    assert not errors
