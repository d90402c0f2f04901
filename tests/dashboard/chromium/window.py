"""A page that is watched: whatever its console complains of fails the test."""

from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page

DESK = {"width": 1280, "height": 800}
WAIT_MILLISECONDS = 20_000
"""How long a page may take for what a test expects; it goes on as soon as it is there."""

REFUSED = "status of 400"
"""What the console says of a form that was refused."""


@dataclass
class Complaints:
    """What pages complained of: errors of scripts, refused content, failed requests. ``expected`` are parts of texts
    that a test provokes."""

    found: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)

    def watch(self, page: Page) -> None:
        page.on("pageerror", lambda error: self.found.append(f"script: {error}"))
        page.on("console", self._console)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.found.append(f"{message.type}: {message.text} {message.location.get('url')}")

    @property
    def unexpected(self) -> list[str]:
        return [text for text in self.found if not any(part in text for part in self.expected)]


def context(browser: Browser, url: str, **options: Any) -> BrowserContext:
    """A person's browser at the dashboard of the server at ``url``: its pages are opened by their paths below /ui."""
    made = browser.new_context(base_url=f"{url}/ui/", **{"viewport": DESK, **options})
    made.set_default_timeout(WAIT_MILLISECONDS)
    return made
