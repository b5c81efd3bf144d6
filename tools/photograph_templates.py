"""Photographs of every template as it opens on a laptop, 1366 x 680, to be looked at.

    python -m tools.photograph_templates FOLDER            # both renderers
    python -m tools.photograph_templates FOLDER --newest   # on the newest frontend
    python -m tools.photograph_templates FOLDER --run      # after a run, where the models are here
    python -m tools.photograph_templates FOLDER au_sweep   # only this one

Files are called RENDERER_TITLE.png, and of apps also app_TITLE.png.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from playwright.sync_api import Page

from tools import face_files, newest_frontend
from tools.frontend import open_page
from tools.photograph_panel import OPEN, RENDERERS, SETTING
from tools.server import ComfyServer
from tools.stand_ins import add_stand_ins
from tools.templates import TEMPLATES
from tools.thumbnails import CARDS, STANDS

LAPTOP = (1366, 680)
RUN = "() => app.queuePrompt(0, 1)"
BUSY = "async () => (await (await fetch('/api/prompt')).json()).exec_info.queue_remaining > 0"


def main() -> None:
    """Take the photographs."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--newest", action="store_true", help="on the newest frontend")
    parser.add_argument("--run", action="store_true", help="after a run")
    parser.add_argument("names", nargs="*", help="which; all if none is named")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    arguments = ("--front-end-root", str(newest_frontend.STATIC)) if options.newest else ()
    with tempfile.TemporaryDirectory() as base:
        add_stand_ins(Path(base))
        face_files.lend(Path(base))
        with (
            ComfyServer(arguments, base=base) as server,
            open_page(server, size=LAPTOP) as page,
        ):
            for renderer, on in RENDERERS.items():
                page.evaluate(SETTING, ["Comfy.VueNodes.Enabled", on])
                for name in options.names or TEMPLATES:
                    _photograph(page, name, options, renderer)
            for name in options.names or TEMPLATES:
                if TEMPLATES[name].app:
                    _photograph(page, name, options, "app")


def _photograph(page: Page, name: str, options: argparse.Namespace, look: str) -> None:
    title = TEMPLATES[name].title
    page.evaluate(OPEN, [title, look == "app"])
    page.wait_for_timeout(1500)  # it fits the view, then draws
    if options.run and name not in CARDS | STANDS:
        page.evaluate(RUN)
        while page.evaluate(BUSY):
            page.wait_for_timeout(500)
        page.wait_for_timeout(1500)
    page.screenshot(path=options.folder / f"{look}_{title}.png")
    print(f"{look}_{title}.png", flush=True)


if __name__ == "__main__":
    main()
