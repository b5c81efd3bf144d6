"""ComfyUI's own page in a real browser without a window: to build workflows, and for tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Page, expect, sync_playwright

from tools.browser import find_browser
from tools.server import ComfyServer

OPTIONS = ("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage")
READY = "window.app?.extensionManager && window.app.canvas?.graph && window.LiteGraph"
TOURS = ["appMode", "firstRun"]
# Else a welcome covers the page; the second is a newer page's, of its tours.
WELCOMED = {"Comfy.TutorialCompleted": True, "Comfy.OnboardingCoachmarks.Seen": TOURS}
SPLASH = "#splash-loader"  # what the page shows until it is ready


class NoBrowserError(RuntimeError):
    """No browser is installed."""


@contextmanager
def open_page(
    server: ComfyServer, path: str = "/", size: tuple[int, int] = (1600, 1000)
) -> Iterator[Page]:
    """The page of a running server, loaded; closed with its browser at the end.

    Args:
        path: what follows the server's address, such as "/?template=au_generate&source=au-adapter".
        size: width and height of the page in pixels.

    Raises:
        NoBrowserError: neither Chromium nor Chrome nor Edge is installed.
    """
    expect.set_options(timeout=120_000)  # on busy machines five seconds are no verdict
    server.post("/settings", WELCOMED)
    browser_path = _browser_path()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=OPTIONS)
        try:
            page = browser.new_page(viewport={"width": size[0], "height": size[1]})
            page.set_default_timeout(600_000)  # only for a page that never comes
            load(page, server, path)
            yield page
        finally:
            browser.close()


def load(page: Page, server: ComfyServer, path: str = "/") -> None:
    """Load the page of a server anew, and wait until it is ready: it remembers nothing then."""
    page.goto("about:blank")
    page.goto(server.url + path)
    page.wait_for_function(READY)
    page.locator(SPLASH).wait_for(state="detached")


def _browser_path() -> str:
    path = find_browser()
    if path is None:
        raise NoBrowserError(
            "ComfyUI's page needs a browser and none was found: install Chromium "
            "(Debian, Ubuntu: `apt-get install chromium`), Google Chrome or Microsoft Edge."
        )
    return path
