"""Telling a person on the page, wherever she looks: as a toast, and in the log.

`show_text` writes on the node itself, which may be inside a subgraph. web/js/notices.js shows the
toast.
"""

from __future__ import annotations

import logging

from .compat import PromptServer

LOGGER = logging.getLogger("au_adapter")
EVENT = "au_adapter.notice"


def tell(title: str, text: str) -> None:
    """A warning that does not stop the run; without a server only the log has it."""
    LOGGER.warning("%s: %s", title, text)
    if (server := getattr(PromptServer, "instance", None)) is not None:
        server.send_sync(EVENT, {"title": title, "text": text})
