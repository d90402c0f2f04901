"""A real Chromium, and a real shop under load for it to look at.

Playwright's synchronous interface keeps an event loop in this thread as long as it is open. So it is open for this
package only: no test beside it needs a loop of its own here.
"""

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from .chromium import Desktop, Watch, launched
from .shop import Shop

PATIENCE_MILLISECONDS = 20_000
HERE = os.path.dirname(__file__)

expect.set_options(timeout=PATIENCE_MILLISECONDS)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if str(item.path).startswith(HERE):
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with launched() as one:
        yield one


@pytest.fixture(scope="package")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """One for all tests: each has queues of its own, and none stops it. It must log no failure."""
    with Shop(tmp_path_factory.mktemp("shop")) as open_shop:
        yield open_shop
    assert open_shop.failures == []
    assert "Traceback" not in open_shop.server.logged()


@pytest.fixture
def watch() -> Iterator[Watch]:
    """Whatever went wrong in a page, and was not expected, fails the test."""
    looking = Watch()
    yield looking
    assert looking.problems == []


@pytest.fixture
def desktop(browser: Browser, shop: Shop, watch: Watch) -> Iterator[Desktop]:
    """Opens windows on the shop."""
    opened = Desktop(browser, shop.server.url, watch)
    yield opened
    opened.close()


@pytest.fixture
def page(desktop: Desktop) -> Page:
    """A window of an operator's desktop, on the shop; nothing is shown yet."""
    return desktop.open()
