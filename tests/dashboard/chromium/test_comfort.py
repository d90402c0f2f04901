"""What makes pages pleasant: keys, light and dark, no scripts, and servers that come back."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from ...process import ServerProcess, client
from ..browser.chromium import Watch
from .window import context


def test_keys_lead_through_the_list_and_the_pages(page: Page, orders: str) -> None:
    page.goto("./")
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.type(orders)
    expect(page.locator("table.rows tbody tr")).to_have_count(1)
    page.get_by_role("searchbox").blur()
    page.keyboard.press("j")
    expect(page.locator("tr.marked")).to_contain_text(orders)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(orders)
    page.keyboard.press("g")
    page.keyboard.press("s")
    expect(page.get_by_role("heading", level=1)).to_have_text("Server")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_the_first_tab_stop_leads_past_the_navigation(page: Page, orders: str) -> None:
    page.goto(f"queues/{orders}")
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the page")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()


def test_light_or_dark_is_remembered(page: Page) -> None:
    page.emulate_media(color_scheme="light")
    page.goto("server")
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_role("button", name="Light or dark").click()
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert light != dark
    page.goto("audit")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark
    page.keyboard.press("t")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == light


def test_without_scripts_pages_show_and_act(browser: Browser, server: ServerProcess, orders: str) -> None:
    with context(browser, server.url, java_script_enabled=False) as made:
        page = made.new_page()
        page.goto("./")
        page.get_by_role("searchbox").fill(orders)
        page.get_by_role("searchbox").press("Enter")
        page.get_by_role("link", name=orders, exact=True).click()
        expect(page.locator(".tiles")).to_contain_text("Waiting")
        page.get_by_role("button", name="Pause").click()
        expect(page.get_by_role("button", name="Resume")).to_be_visible()


@pytest.mark.crash
def test_an_open_page_outlives_a_restart_of_the_server(browser: Browser, tmp_path: Path, watch: Watch) -> None:
    with ServerProcess(tmp_path / "first") as first:
        port = first.port  # that the system found free; the server must come back to the same one
    with ServerProcess(tmp_path, port=port) as server, context(browser, server.url) as made:
        url = client(server.url).create_queue(QueueName="orders")["QueueUrl"]
        page = made.new_page()
        watch.allow("net::ERR_")
        watch.page(page)
        page.goto("queues/orders")
        state = page.locator("#state")
        expect(state).to_have_text("live")
        server.kill()
        expect(state).to_have_text("reconnecting")
        server.start()
        expect(state).to_have_text("live")
        client(server.url).send_message(QueueUrl=url, MessageBody="after")
        expect(page.locator(".tile", has_text=re.compile("^Waiting")).locator("dd")).to_have_text("1")
        assert watch.problems == []
