"""What people look at on a page, by the words that they know it by."""

import re

from playwright.sync_api import Locator, Page, expect


def row(page: Page, name: str) -> Locator:
    """The row of a table whose link is called like that."""
    return page.locator("table.rows tbody tr", has=page.get_by_role("link", name=name, exact=True))


def rows(page: Page) -> Locator:
    return page.locator("table.rows tbody tr:not([data-part])")


def tile(page: Page, label: str) -> Locator:
    """The number in the tile with this label."""
    return page.locator(".tile", has=page.locator("dt", has_text=re.compile(f"^{label}$"))).locator("dd")


def number(text: Locator) -> float:
    """The number that it says now."""
    digits = re.sub(r"[^\d.]", "", text.inner_text().split(" ")[0])  # between thousands is a narrow space
    return float(digits)


def told(page: Page) -> Locator:
    """What the page says of what was done."""
    return page.locator("main").get_by_role("status")


def refused(page: Page) -> Locator:
    """What the page says of what was not done."""
    return page.locator("main").get_by_role("alert")


def is_live(page: Page) -> None:
    """Waits until the page follows what happens."""
    expect(page.locator("#state")).to_have_text("live")


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def follow(page: Page, name: str) -> None:
    page.get_by_role("link", name=name, exact=True).click()


def title(page: Page, text: str) -> None:
    """Waits until this is the page's heading."""
    expect(page.get_by_role("heading", level=1)).to_have_text(text)
