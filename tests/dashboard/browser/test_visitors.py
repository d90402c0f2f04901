"""Who may see and do what: signing in and out, looking only, forms of other sites, no scripts at all."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from ...process import ACCOUNT, KEY, SECRET, ServerProcess, client
from .chromium import Desktop, Watch
from .shop import Shop
from .steps import follow, is_live, press, refused, row, rows, tile, title, told

READER = ("AKIDOFTHEREADER", "the-secret-of-the-reader")
READS = ["Get*", "List*", "Find*", "Peek*"]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with an owner and somebody who may look only."""
    credentials = [
        {"access_key": KEY, "secret_key": SECRET, "account": ACCOUNT, "name": "olga"},
        {
            "access_key": READER[0],
            "secret_key": READER[1],
            "account": ACCOUNT,
            "name": "rita",
            "actions": READS,
        },
    ]
    environment = {"ENCOLA_CREDENTIALS": json.dumps(credentials)}
    with ServerProcess(tmp_path_factory.mktemp("guarded"), "--relaxed", environment=environment) as server:
        sqs: Any = client(server.url)
        url = sqs.create_queue(QueueName="vault")["QueueUrl"]
        sqs.send_message(QueueUrl=url, MessageBody="gold")
        yield server
        assert SECRET not in server.logged()
        assert READER[1] not in server.logged()


@pytest.fixture
def guests(browser: Browser, guarded: ServerProcess, watch: Watch) -> Iterator[Desktop]:
    """Opens windows on the guarded server."""
    opened = Desktop(browser, guarded.url, watch)
    yield opened
    opened.close()


def sign_in(page: Page, key: str, secret: str) -> None:
    page.get_by_label("Access key").fill(key)
    page.get_by_label("Secret key").fill(secret)
    press(page, "Sign in")


def test_a_deep_link_leads_to_its_page_after_signing_in(guests: Desktop, watch: Watch) -> None:
    watch.refusal(401)
    page = guests.open("/ui/queues/vault/messages?order=newest")
    title(page, "Sign in")
    sign_in(page, KEY, "a wrong secret")
    expect(refused(page)).to_contain_text("do not belong together")
    expect(page.get_by_label("Access key")).to_have_value(KEY)
    expect(page.get_by_label("Secret key")).to_have_value("")
    sign_in(page, KEY, SECRET)
    title(page, "vault")
    expect(page).to_have_url("/ui/queues/vault/messages?order=newest")
    expect(rows(page)).to_have_count(1)


def test_who_signed_out_sees_nothing_in_any_tab(guests: Desktop) -> None:
    page = guests.open("/")
    sign_in(page, KEY, SECRET)
    expect(row(page, "vault")).to_be_visible()
    other = guests.tab(page.context, "/ui/queues/vault")
    expect(tile(other, "Waiting")).to_have_text("1")
    page.get_by_role("button", name="olga").click()
    title(page, "Sign in")
    other.reload()
    title(other, "Sign in")
    page.go_back()
    title(page, "Sign in")


def test_who_may_look_only_sees_no_buttons_and_cannot_act(guests: Desktop, watch: Watch) -> None:
    watch.refusal(403)
    page = guests.open("/")
    sign_in(page, *READER)
    title(page, "Queues")
    is_live(page)
    expect(page.get_by_role("link", name="Create a queue")).to_have_count(0)
    for path in (
        "/ui/queues/vault",
        "/ui/queues/vault/configuration",
        "/ui/queues/vault/messages",
        "/ui/jobs",
        "/ui/workers",
        "/ui/mappings",
        "/ui/server",
        "/ui/audit",
    ):
        page.goto(path)
        acts = page.locator("main form[method=post] button, main .danger, main .main:not([type=submit])")
        expect(acts.filter(has_not_text="Look").filter(has_not_text="Filter")).to_have_count(0)
    for path in ("/ui/queues/vault/pause", "/ui/queues/vault/send", "/ui/queues-new"):
        assert _posted(page, path) == 403
    page.goto("/ui/queues/vault/send")
    expect(page.locator("main")).to_contain_text("not")
    expect(page.get_by_role("button", name="Send", exact=True)).to_have_count(0)


def _posted(page: Page, path: str) -> int:
    """The status of a form that the page's own address sends, with the token that the page has for it."""
    script = """async ([path]) => {
        const csrf = document.querySelector("input[name=csrf]").value;
        const answer = await fetch(path, {method: "POST", body: new URLSearchParams({csrf, name: "x", body: "x"})});
        return answer.status;
    }"""
    status: int = page.evaluate(script, [path])
    return status


def trap(address: str, token: str) -> str:
    """A page with a form that would like to act at this address; it even knows the token."""
    return f"""<!doctype html><link rel="icon" href="data:,"><form method="post" action="{address}">
        <input type="hidden" name="csrf" value="{token}"><button>You have won</button></form>"""


def test_a_form_of_another_site_is_refused(desktop: Desktop, shop: Shop, watch: Watch) -> None:
    watch.refusal(403)
    name = shop.queue()
    page = desktop.open(f"/ui/queues/{name}")
    token = page.locator("input[name=csrf]").first.get_attribute("value") or ""
    with OtherSite(trap(f"{shop.server.url}/ui/queues/{name}/pause", token)) as elsewhere:
        tab = desktop.tab(page.context, elsewhere)
        press(tab, "You have won")
        expect(tab.locator("main")).to_contain_text("This form was sent by a page of another site.")
    page.reload()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()


def test_to_a_form_of_another_site_nobody_is_signed_in(guests: Desktop, guarded: ServerProcess) -> None:
    page = guests.open("/ui/queues/vault")
    sign_in(page, KEY, SECRET)
    title(page, "vault")
    token = page.locator("input[name=csrf]").first.get_attribute("value") or ""
    with OtherSite(trap(f"{guarded.url}/ui/queues/vault/pause", token)) as elsewhere:
        tab = guests.tab(page.context, elsewhere)
        press(tab, "You have won")
        title(tab, "Sign in")
    page.reload()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()


def test_a_page_of_another_site_cannot_frame_ours(desktop: Desktop, shop: Shop, watch: Watch) -> None:
    watch.allow("frame-ancestors|X-Frame-Options|ERR_BLOCKED_BY_RESPONSE")
    frame = f"""<!doctype html><link rel="icon" href="data:,"><iframe src="{shop.server.url}/"></iframe>"""
    with OtherSite(frame) as elsewhere:
        page = desktop.open(elsewhere)
        expect(page.locator("iframe")).to_be_visible()
        expect(page.frame_locator("iframe").get_by_role("heading")).to_have_count(0)
    assert any("frame-ancestors" in one for one in watch.noted)


class OtherSite:
    """A page at another host than 127.0.0.1: for a browser, of another site."""

    def __init__(self, page: str) -> None:
        content = page.encode()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def __enter__(self) -> str:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return f"http://localhost:{self._server.server_port}/"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def test_without_scripts_pages_show_and_forms_work(desktop: Desktop, shop: Shop, watch: Watch) -> None:
    watch.refusal(400)
    name = shop.queue()
    page = desktop.open("/?search=" + name, java_script_enabled=False)
    expect(rows(page)).to_have_count(1)
    page.get_by_role("link", name=name, exact=True).click()
    press(page, "Pause")
    expect(told(page)).to_contain_text("is paused")
    press(page, "Resume")
    follow(page, "Send")
    page.get_by_label("Body").fill('{"without": "scripts"}')
    press(page, "Send")
    expect(told(page)).to_contain_text("Sent, as ")
    follow(page, "Messages")
    page.get_by_role("link", name="Show the body of").click()
    expect(page.locator("pre.body")).to_contain_text('"without": "scripts"')
    follow(page, "Configuration")
    page.get_by_label("Delay").fill("9")
    press(page, "Save")
    expect(told(page)).to_contain_text("Changed: DelaySeconds")
    follow(page, "Now")
    follow(page, "Delete…")
    page.get_by_label("Type the queue's name").fill("another")
    press(page, f"Delete {name}")
    expect(refused(page)).to_contain_text("Nothing was done")
    page.get_by_label("Type the queue's name").fill(name)
    press(page, f"Delete {name}")
    expect(told(page)).to_contain_text(f"{name} was deleted")
