"""How long the page tests wait for what the page shows: a limit for a page that fails, far beyond
what a busy machine takes."""

from __future__ import annotations

from playwright.sync_api import expect

expect.set_options(timeout=120_000)
