"""A person's browser at the dashboard, for pages that are opened by their paths below /ui."""

from typing import Any

from playwright.sync_api import Browser, BrowserContext

from ..browser.chromium import WIDE

WAIT_MILLISECONDS = 20_000
"""How long a page may take for what a test expects; it goes on as soon as it is there."""


def context(browser: Browser, url: str, **options: Any) -> BrowserContext:
    """A person's browser at the dashboard of the server at ``url``: its pages are opened by their paths below /ui."""
    made = browser.new_context(base_url=f"{url}/ui/", **{"viewport": WIDE, **options})
    made.set_default_timeout(WAIT_MILLISECONDS)
    return made
