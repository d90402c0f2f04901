"""All pages, checked by axe-core (a copy is kept for tests, with its licence): WCAG 2.2 A and AA, and good practice."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from ...process import ServerProcess
from .window import context

AXE = Path(__file__).parents[1] / "browser" / "axe" / "axe.min.js"
RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")


def _violations(page: Page) -> list[str]:
    found: Any = page.evaluate(
        "(rules) => axe.run(document, {runOnly: rules, resultTypes: ['violations']})", list(RULES)
    )
    return [
        f"{page.url} {one['id']}: {node['html'][:160]} {node['failureSummary'][:200]}"
        for one in found["violations"]
        for node in one["nodes"]
    ]


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_any_page(
    browser: Browser, server: ServerProcess, addresses: list[str], scheme: Any
) -> None:
    found: list[str] = []
    with context(browser, server.url, color_scheme=scheme, reduced_motion="reduce") as made:
        made.add_init_script(path=AXE)
        page = made.new_page()
        for path in addresses:
            page.goto(path)
            found += _violations(page)
        page.goto("./")
        page.keyboard.press("?")
        found += _violations(page)
    assert found == []


def test_axe_would_find_what_is_wrong(browser: Browser, server: ServerProcess) -> None:
    with context(browser, server.url) as made:
        made.add_init_script(path=AXE)
        page = made.new_page()
        page.goto("server")
        page.evaluate("document.querySelector('main').insertAdjacentHTML('beforeend', '<p class=dim>dim</p><input>')")
        page.evaluate("document.querySelector('main > p.dim').style.color = '#ccc'")
        found = " ".join(_violations(page))
    assert "label" in found
    assert "color-contrast" in found
