"""Behind a reverse proxy: below a path of its own, and with people whom the proxy signed in."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from ...process import ServerProcess, client
from .chromium import Desktop, Watch
from .proxies import Proxy
from .steps import follow, is_live, press, row, tile, title, told

BASE = "/tools/encola"


@pytest.fixture(scope="module")
def configured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """It knows where the proxy shows it, and believes the proxy who somebody is."""
    environment = {
        "ENCOLA_DASHBOARD__BASE_PATH": BASE,
        "ENCOLA_DASHBOARD__PROXY_HEADER": "X-Forwarded-User",
        "ENCOLA_DASHBOARD__PROXY_PEERS": '["127.0.0.1"]',
        "ENCOLA_DASHBOARD__PROXY_OPERATORS": '["ann@*"]',
        "ENCOLA_SERVER__GRACE_SECONDS": "1",
    }
    with ServerProcess(tmp_path_factory.mktemp("configured"), "--relaxed", environment=environment) as server:
        yield server


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """It is told of the proxy by each request only."""
    with ServerProcess(tmp_path_factory.mktemp("plain"), "--relaxed") as server:
        yield server


def _walk(browser: Browser, watch: Watch, server: ServerProcess, proxy: Proxy, name: str) -> None:
    """Creates a queue, sees it change, acts on it; all of it below the proxy's path."""
    desktop = Desktop(browser, proxy.url, watch)
    page = desktop.open(f"{BASE}/")
    elsewhere: list[str] = []
    page.on("request", lambda one: elsewhere.append(one.url) if not one.url.startswith(proxy.url + BASE) else None)
    is_live(page)
    follow(page, "Create a queue")
    page.get_by_label("Name").fill(name)
    press(page, "Create the queue")
    title(page, name)
    expect(page).to_have_url(f"{proxy.url}{BASE}/ui/queues/{name}")
    is_live(page)
    expect(page.locator(".chart canvas")).to_have_count(4)
    sqs: Any = client(server.url)
    sqs.send_message(QueueUrl=sqs.get_queue_url(QueueName=name)["QueueUrl"], MessageBody="through the proxy")
    expect(tile(page, "Waiting")).to_have_text("1")
    follow(page, "Messages")
    page.get_by_role("link", name=re.compile("^Show the body of")).click()
    expect(page.locator("pre.body")).to_have_text("through the proxy")
    follow(page, "Now")
    press(page, "Pause")
    expect(told(page)).to_contain_text("is paused")
    page.keyboard.press("g")
    page.keyboard.press("o")
    expect(row(page, name)).to_contain_text("paused")
    desktop.close()
    assert elsewhere == []


def test_below_a_path_that_the_proxy_takes_off(browser: Browser, watch: Watch, plain: ServerProcess) -> None:
    with Proxy(plain.url, BASE, strip=True, headers={"X-Forwarded-Prefix": BASE}) as proxy:
        _walk(browser, watch, plain, proxy, "taken-off")


@pytest.mark.parametrize("strip", [True, False])
def test_below_a_path_that_is_configured(
    browser: Browser, watch: Watch, configured: ServerProcess, strip: bool
) -> None:
    with Proxy(configured.url, BASE, strip=strip, headers={"X-Forwarded-User": "ann@shop.example"}) as proxy:
        _walk(browser, watch, configured, proxy, f"configured-{strip}")


def test_whom_the_proxy_names_is_noted_and_others_may_only_look(
    browser: Browser, watch: Watch, configured: ServerProcess
) -> None:
    sqs: Any = client(configured.url, aws_access_key_id="any", aws_secret_access_key="any")
    sqs.create_queue(QueueName="seen-by-both")
    path = f"{BASE}/ui/queues/seen-by-both"
    with Proxy(configured.url, BASE, strip=True, headers={"X-Forwarded-User": "ann@shop.example"}) as proxy:
        desktop = Desktop(browser, proxy.url, watch)
        page = desktop.open(path, headers={"X-Forwarded-User": "root"})
        press(page, "Pause")
        page.goto(f"{BASE}/ui/audit?search=seen-by-both")
        expect(row(page, "nobody")).to_have_count(0)
        expect(page.locator("tbody tr").first).to_contain_text("ann@shop.example")
        desktop.close()
    with Proxy(configured.url, BASE, strip=True, headers={"X-Forwarded-User": "bob@shop.example"}) as proxy:
        desktop = Desktop(browser, proxy.url, watch)
        page = desktop.open(path)
        expect(page.get_by_text("read only")).to_be_visible()
        expect(tile(page, "Waiting")).to_have_text("0")
        expect(page.locator("main button")).to_have_count(0)
        desktop.close()


def test_who_comes_past_the_proxy_is_nobody(browser: Browser, watch: Watch, configured: ServerProcess) -> None:
    watch.refusal(401)
    desktop = Desktop(browser, configured.url, watch)
    page = desktop.open("/")
    expect(page.locator("main")).to_contain_text("names nobody")
    desktop.close()


def test_where_the_server_is_restarted_behind_the_proxy_pages_come_back(
    browser: Browser, watch: Watch, tmp_path: Path
) -> None:
    watch.refusal(502)
    watch.allow("net::ERR_|EventSource")
    with ServerProcess(tmp_path, "--relaxed") as server:
        port = server.port
        with Proxy(server.url, BASE, strip=True, headers={"X-Forwarded-Prefix": BASE}) as proxy:
            desktop = Desktop(browser, proxy.url, watch)
            page = desktop.open(f"{BASE}/")
            is_live(page)
            page.evaluate("window.neverReloaded = true")
            assert server.stop() == 0
            expect(page.locator("#state")).to_have_text("reconnecting")
            assert proxy.unreached.wait(30)  # a browser does not ask again after an answer as this: the page must
            with ServerProcess(tmp_path, "--relaxed", port=port) as again:
                is_live(page)
                client(again.url).create_queue(QueueName="after-the-restart")
                expect(row(page, "after-the-restart")).to_be_visible()
                assert page.evaluate("window.neverReloaded")
                desktop.close()
