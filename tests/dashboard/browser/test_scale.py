"""A thousand queues, and a million messages: pages stay usable, and page 1,000 comes as page 1 does."""

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from ...process import ServerProcess, client
from .chromium import Desktop, Watch
from .shop import ROOT
from .steps import follow, is_live, number, row, rows, tile

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # a million messages take their time on a busy machine

QUEUES = 1_000
MESSAGES = 1_000_000
ROUNDS = 5
ROWS_OF_A_PAGE = 50


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Its data are there before it starts; the queues are made afterwards."""
    server = ServerProcess(tmp_path_factory.mktemp("deep"), "--relaxed")
    fill = [sys.executable, "-m", "benchmarks.fill", str(server.data), "000000000000/deep", str(MESSAGES)]
    subprocess.run(fill, check=True, cwd=ROOT)
    with server:
        sqs: Any = client(server.url)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda one: sqs.create_queue(QueueName=f"q-{one:04}"), range(QUEUES - 1)))
        yield server
    shutil.rmtree(server.data)  # more than a gigabyte


@pytest.fixture
def page(browser: Browser, deep: ServerProcess, watch: Watch) -> Iterator[Page]:
    desktop = Desktop(browser, deep.url, watch)
    yield desktop.open()
    desktop.close()


def test_a_thousand_queues_are_paged_searched_and_followed(page: Page, deep: ServerProcess) -> None:
    page.goto("/")
    is_live(page)
    assert number(tile(page, "Queues")) == QUEUES
    assert number(tile(page, "Waiting")) == MESSAGES
    seen: list[str] = []
    pages = QUEUES // ROWS_OF_A_PAGE
    for shown in range(1, pages + 1):
        expect(page.locator(".pages span")).to_have_text(f"{shown} of {pages}")
        seen += page.locator("tbody th a").all_inner_texts()
        if shown < pages:
            page.locator("a[rel=next]").click()
    assert len(set(seen)) == QUEUES
    assert seen == sorted(seen)
    page.goto("/?sort=visible")
    expect(rows(page).first).to_contain_text("deep")
    page.get_by_role("searchbox").fill("q-07")
    expect(rows(page)).to_have_count(ROWS_OF_A_PAGE)
    expect(page.locator(".pages span")).to_have_text("1 of 2")
    page.get_by_role("searchbox").fill("q-0777")
    expect(rows(page)).to_have_count(1)
    sqs: Any = client(deep.url)
    sqs.send_message(QueueUrl=sqs.get_queue_url(QueueName="q-0777")["QueueUrl"], MessageBody="seen at once")
    expect(row(page, "q-0777").locator("[data-label=Waiting]")).to_have_text("1")


def test_page_one_thousand_of_a_million_messages_comes_as_page_one_does(page: Page) -> None:
    path = "/ui/queues/deep/messages"
    page.goto(path)
    expect(rows(page)).to_have_count(ROWS_OF_A_PAGE)
    first = int((rows(page).first.get_attribute("id") or "").removeprefix("message-"))
    far = f"{path}?after={first + 999 * ROWS_OF_A_PAGE - 1}"
    spent = {path: 0.0, far: 0.0}
    for _ in range(ROUNDS):
        for address in spent:
            begun = time.perf_counter()
            page.goto(address)
            spent[address] += time.perf_counter() - begun
            expect(rows(page)).to_have_count(ROWS_OF_A_PAGE)
    assert spent[far] < 3 * spent[path]
    expect(rows(page).first).to_have_id(f"message-{first + 999 * ROWS_OF_A_PAGE}")
    page.locator("a[rel=next]").click()
    expect(rows(page).first).to_have_id(f"message-{first + 1000 * ROWS_OF_A_PAGE}")
    page.locator("a[rel=prev]").click()
    expect(rows(page).first).to_have_id(f"message-{first + 999 * ROWS_OF_A_PAGE}")
    follow(page, "« first")
    expect(rows(page).first).to_have_id(f"message-{first}")
    page.get_by_label("Order").select_option("newest")
    page.get_by_role("button", name="Look").click()
    expect(rows(page).first).to_have_id(f"message-{first + MESSAGES - 1}")


def test_a_search_through_a_million_messages_says_how_far_it_came_and_goes_on(page: Page) -> None:
    page.goto("/ui/queues/deep/messages?text=not+to+be+found")
    said = page.locator("nav.pages")
    expect(said).to_contain_text("Looked at")
    expect(page.get_by_text("None of those that were looked at fits. Go on below.")).to_be_visible()
    before = page.url
    page.locator("a[rel=next]").click()
    expect(page).not_to_have_url(before)
    expect(page).to_have_url(re.compile("after="))
    expect(said).to_contain_text("Looked at")
