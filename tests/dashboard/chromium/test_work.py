"""Jobs, workers and mappings in the browser, of a shop at work: followed, tried again, cancelled, stopped."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from ..browser.chromium import Watch
from ..browser.shop import Shop
from ..browser.shop_tasks import shop as shop_app
from .window import context


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with Shop(tmp_path_factory.mktemp("shop")) as one:
        yield one


@pytest.fixture
def desk(browser: Browser, shop: Shop, watch: Watch) -> Iterator[Page]:
    """A page at the shop."""
    with context(browser, shop.server.url) as made:
        page = made.new_page()
        watch.page(page)
        yield page
    assert watch.problems == []


def _badge(page: Page) -> Any:
    return page.locator("#live .head .badge").first


def test_the_list_of_jobs_follows_and_narrows_by_state(desk: Page) -> None:
    desk.goto("jobs")
    first = desk.locator("table.rows tbody th").first
    expect(first).to_contain_text("shop/")
    seen = first.inner_text()
    expect(first).not_to_have_text(seen)  # newer ones come on top
    desk.get_by_role("navigation", name="State").get_by_role("link", name="dead").click()
    expect(desk.locator("tbody")).to_contain_text("no such mailbox")
    expect(desk.locator("tbody .badge", has_text="completed")).to_have_count(0)


@pytest.mark.slow
def test_a_job_shows_its_progress_and_is_cancelled(desk: Page, shop: Shop) -> None:
    shop_app(shop.server.url).tasks["report"].send("2031-01", 10_000)
    desk.goto("jobs?prefix=shop/report/2031")
    desk.get_by_role("link", name="shop/report/2031-01").click()  # as soon as it has begun
    expect(desk.locator("#live")).to_contain_text(re.compile(r"page \d+ of 10000"))
    said = desk.locator("#live .stretch span").inner_text()
    expect(desk.locator("#live .stretch span")).not_to_have_text(said)
    desk.get_by_role("button", name="Cancel").click()
    expect(_badge(desk)).to_have_text("cancelled")


def test_a_dead_job_tells_its_attempts_and_is_tried_again(desk: Page) -> None:
    desk.goto("jobs?state=dead&task=invoice")
    expect(desk.locator("tbody tr").first).to_be_visible()
    desk.locator("tbody th a").first.click()
    expect(desk.locator(".timeline")).to_contain_text("is negative")
    desk.get_by_text("Traceback").first.click()
    expect(desk.locator(".timeline pre").first).to_contain_text("ValueError")
    desk.get_by_role("button", name="Retry").click()
    expect(desk.locator("main").get_by_role("status")).to_be_visible()
    expect(desk.locator(".timeline > li")).to_have_count(2)


@pytest.mark.slow
def test_a_worker_is_stopped_gently_from_its_page(desk: Page, shop: Shop) -> None:
    process = shop.worker("--concurrency", "1")
    desk.goto(f"workers?search={process.pid}")
    desk.locator("tbody tr", has_text=f"process {process.pid}").locator("th a").first.click()  # once it has reported
    desk.get_by_role("link", name="Stop gently…").click()
    desk.locator("main form button.danger").click()
    expect(desk.locator("main").get_by_role("status").first).to_be_visible()
    assert process.wait(30) == 0


def test_a_mapping_tells_what_its_function_did(desk: Page) -> None:
    desk.goto("mappings")
    row = desk.locator("tbody tr").first
    expect(row).to_contain_text("thumbnails")
    row.locator("th a").click()
    expect(desk.locator(".facts")).to_contain_text("uploads")
    done = desk.locator(".tile", has=desk.locator("dt", has_text=re.compile("^Done$"))).locator("dd")
    expect(done).not_to_have_text("0")
