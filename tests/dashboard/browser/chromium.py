"""Chromium without a screen, driven by Playwright, and an eye on everything that goes wrong in its pages.

It needs Debian's package ``chromium``, which ``.ci/run`` installs where it can.
"""

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Dialog,
    Page,
    Playwright,
    Request,
    sync_playwright,
)

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--no-sandbox",  # containers have no user namespaces to build a sandbox of; it sees our own pages only
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WIDE = {"width": 1280, "height": 800}
PHONE = {"width": 360, "height": 740}

_ENDED_BY_US = re.compile(r"net::ERR_ABORTED$")
"""A request that ended since the page was left: what an open stream does whenever somebody follows a link."""


def program() -> str | None:
    """Where Chromium is, if it is installed."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


def launch(playwright: Playwright) -> Browser:
    return playwright.chromium.launch(executable_path=program(), args=list(FLAGS))


@contextmanager
def launched() -> Iterator[Browser]:
    """A browser; while it runs, no other event loop may run in this thread. Where there is none, tests are skipped,
    but in CI they fail."""
    if program() is None:
        if os.environ.get("CI"):
            pytest.fail("Chromium is not installed, and this is CI")
        pytest.skip("Chromium is not installed")
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


class Watch:
    """Notes what goes wrong in pages: errors of scripts, what the console calls an error (violations of the content
    security policy are), requests that failed, dialogs that a page opened. A test says what it expects (``allow``).
    """

    def __init__(self) -> None:
        self.noted: list[str] = []
        self._allowed: list[re.Pattern[str]] = []

    def page(self, page: Page) -> None:
        """Looks at this page from now on."""
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.noted.append(f"error of a script: {error}"))
        page.on("requestfailed", self._failed)
        page.on("dialog", self._dialog)

    def allow(self, pattern: str) -> None:
        """Problems that fit are none."""
        self._allowed.append(re.compile(pattern))

    def refusal(self, status: int) -> None:
        """A page may be answered with this status: the console calls that an error."""
        self.allow(f"console: .* the server responded with a status of {status} ")

    @property
    def problems(self) -> list[str]:
        return [one for one in self.noted if not any(pattern.search(one) for pattern in self._allowed)]

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.noted.append(f"console: {message.text} ({message.location.get('url')})")

    def _failed(self, request: Request) -> None:
        if not _ENDED_BY_US.search(request.failure or ""):
            self.noted.append(f"request failed: {request.method} {request.url} {request.failure}")

    def _dialog(self, dialog: Dialog) -> None:
        self.noted.append(f"dialog: {dialog.type} {dialog.message}")
        dialog.dismiss()


class Desktop:
    """Windows of one browser, each with cookies of its own, all of them watched."""

    def __init__(self, browser: Browser, base_url: str, watch: Watch) -> None:
        self._browser = browser
        self._base_url = base_url
        self._watch = watch
        self._contexts: list[BrowserContext] = []

    def open(self, path: str | None = None, *, headers: Mapping[str, str] | None = None, **options: Any) -> Page:
        """A new window, at ``path`` if one is given. ``options`` are those of Playwright's ``new_context``."""
        settings = {"base_url": self._base_url, "viewport": WIDE, "locale": "en-US", "timezone_id": "UTC", **options}
        context = self._browser.new_context(extra_http_headers=dict(headers or {}), **settings)
        self._contexts.append(context)
        return self.tab(context, path)

    def tab(self, context: BrowserContext, path: str | None = None) -> Page:
        """One more tab of a window."""
        page = context.new_page()
        self._watch.page(page)
        if path is not None:
            page.goto(path)
        return page

    def close(self) -> None:
        for context in self._contexts:
            context.close()


def fits(page: Page) -> bool:
    """Nothing is wider than the window: nobody has to scroll sideways."""
    width, room = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    return bool(width <= room)
