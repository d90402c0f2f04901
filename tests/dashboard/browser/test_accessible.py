"""Every page can be used by everybody: axe-core finds nothing, on a desk by day, and on a phone at night."""

import html
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from encola.dashboard.table import ROUTES

from .axe import violations
from .chromium import PHONE, WIDE, Desktop, Watch, fits
from .shop import Shop
from .sites import ONLY_PARTS, SITES

LOOKS = (("light", WIDE), ("dark", PHONE))


def test_every_page_is_among_the_examples() -> None:
    """So that nobody forgets the tests of a new page."""
    pages = {route.path for route in ROUTES if route.view is not None} - ONLY_PARTS
    assert pages - SITES.keys() == set()


@pytest.fixture(scope="module")
def window(browser: Browser, shop: Shop) -> Iterator[Page]:
    """It stays open for all of them: what is cached stays cached."""
    watch = Watch()
    watch.refusal(404)
    desktop = Desktop(browser, shop.server.url, watch)
    yield desktop.open()
    desktop.close()
    assert watch.problems == []


@pytest.mark.parametrize("site", SITES)
def test_a_page_keeps_nobody_out(window: Page, shop: Shop, site: str) -> None:
    window.set_viewport_size(LOOKS[0][1])
    window.goto(SITES[site](shop))
    found = []
    for scheme, size in LOOKS:
        window.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        window.set_viewport_size(size)
        shop.until(lambda: fits(window))  # charts are drawn anew a moment later
        found += [f"{scheme}, {size['width']} wide: {told}" for told in violations(window)]
    assert not found, "\n".join(found)


def test_every_page_has_a_twin_a_link_away(window: Page, shop: Shop) -> None:
    for site in SITES.keys() - {"no such page"}:
        answer = window.request.get(SITES[site](shop))
        assert answer.ok
        link = re.search('<a href="([^"]+)">JSON</a>', answer.text())
        assert link
        assert shop.twin(html.unescape(link[1]))


def test_the_list_of_keys_keeps_nobody_out(window: Page) -> None:
    window.goto("/")
    window.keyboard.press("?")
    expect(window.get_by_role("dialog")).to_be_visible()
    assert violations(window) == []


def test_what_keeps_people_out_would_be_found(window: Page) -> None:
    window.emulate_media(color_scheme="light")
    window.goto("/ui/audit")
    window.evaluate("document.querySelector('[data-search]').removeAttribute('aria-label')")
    window.evaluate("document.querySelector('h1').style.color = '#ddd'")
    assert {one.split()[0] for one in violations(window)} >= {"color-contrast"}
