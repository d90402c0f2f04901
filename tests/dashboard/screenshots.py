"""Pictures of all pages, by day and by night, for the README and the papers:

    python -m tests.dashboard.screenshots [MINUTES]

A shop is at work for so many minutes (15 fill the charts); then each page is taken, into docs/images/. Nothing in the
pictures is made up: there are real messages, workers, and a function; they wait, fail and are late as told here.
"""

import json
import math
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, ViewportSize, sync_playwright

from ..process import client
from .browser import chromium, shop_tasks
from .browser.chromium import Desktop, Watch
from .browser.shop import CUSTOMERS, ROOT, Role, Shop, Step
from .browser.steps import is_live
from .palette import smaller

IMAGES = ROOT / "docs" / "images"
BYTES_MAX = 150_000
HEIGHTS = {"queue": 1_150, "server": 1_150}
"""Of pages with charts, where these are further below."""

MINUTES = 15.0
WAVE_ROUNDS = 1_500
"""Of a tenth of a second: customers come in waves of some minutes."""

MAPPED = """
[[queues]]
name = "returns"

[[mappings]]
queue = "returns"
function = "thumbnails"
batch_size = 10
maximum_concurrency = 2
"""

LONG_REPORTS = (("2026-08", 3_300), ("2026-09", 4_500), ("2026-10", 9_000))


class BusyDay(Shop):
    """A shop with waves of customers: orders pile up and are worked off, newsletters are held back."""

    CONFIGURED = MAPPED

    def start(self) -> "BusyDay":
        super().start()
        self.queue("newsletter", RedrivePolicy=self._rule("orders-dead"))
        self.queue("uploads-dead")
        rule = {"RedrivePolicy": self._rule("uploads-dead"), "VisibilityTimeout": "10"}
        self.sqs.set_queue_attributes(QueueUrl=self.url("uploads"), Attributes=rule)
        self.queue("stock-alerts")
        for first in range(0, 3_480, 10):
            entries = [_issue(one) for one in range(first, first + 10)]
            self.sqs.send_message_batch(QueueUrl=self.url("newsletter"), Entries=entries)
        for month, pages in LONG_REPORTS:
            self._app.tasks["report"].send(month, pages)
        return self

    def roles(self) -> Sequence[Role]:
        self._app = shop_tasks.shop(self.server.url)
        return (self._customers, self._clerk, self._clerk, self._clerk, self._ask_in_waves, self._serve_bookings)

    def _rule(self, dead: str) -> str:
        return json.dumps({"deadLetterTargetArn": self.arn(dead), "maxReceiveCount": 3})

    def _customers(self) -> Step:
        sqs, orders = client(self.server.url, retries=3), count(48_120)

        def step(number: int) -> None:
            wave = 1 + math.sin(number / WAVE_ROUNDS * 2 * math.pi)
            for _ in range(round(wave * 2 + number % 2)):
                order = next(orders)
                body = json.dumps({"order": order, "customer": CUSTOMERS[order % 4], "lines": 1 + order % 5})
                said = {"customer": {"DataType": "String", "StringValue": CUSTOMERS[order % 4]}}
                broken = order % 800 == 7
                sqs.send_message(
                    QueueUrl=self.url("orders"), MessageBody=body[:-9] if broken else body, MessageAttributes=said
                )
            if number % 4 == 0:
                seat = json.dumps({"seat": number, "customer": CUSTOMERS[number % 2]})
                group = CUSTOMERS[number % 2]
                sqs.send_message(QueueUrl=self.url("bookings.fifo"), MessageBody=seat, MessageGroupId=group)
                picture = f"pictures/{number}.jpg" if number % 100 != 60 else f"pictures/broken-{number}.jpg"
                sqs.send_message(QueueUrl=self.url("uploads"), MessageBody=json.dumps({"key": picture}))
            if number % 50 == 0:
                sqs.send_message(QueueUrl=self.url("returns"), MessageBody=json.dumps({"parcel": number}))

        return step

    def _clerk(self) -> Step:
        sqs, url = client(self.server.url, retries=3), self.url("orders")

        def step(number: int) -> None:
            found = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=2).get("Messages", ())
            for message in found:
                handle = message["ReceiptHandle"]
                if message["Body"].endswith("}"):
                    sqs.delete_message(QueueUrl=url, ReceiptHandle=handle)
                else:
                    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=5)

        return step

    def _ask_in_waves(self) -> Step:
        def step(number: int) -> None:
            wave = 1 + math.sin(number / WAVE_ROUNDS * 2 * math.pi + 1)
            if number % max(2, round(6 - 2 * wave)):
                return
            order = 48_000 + number
            host = {24: "nowhere", 48: "slow"}.get(number % 144, "shop")
            address = f"{CUSTOMERS[number % 4]}@{host}.example"
            if number % 360 == 0:  # from a producer that is older than the task
                old = json.dumps({"task": "mail", "args": {"number": order, "to": address}})
                self.sqs.send_message(QueueUrl=self.url("mails"), MessageBody=old)
            self._app.tasks["mail"].send(order, address)
            self._app.tasks["invoice"].send(order, -12.5 if number % 240 == 48 else 20.0)

        return step


def _issue(subscriber: int) -> dict[str, Any]:
    """A newsletter for one of its readers, in two languages."""
    language = ("en", "de")[subscriber % 2]
    body = {"issue": 41, "to": f"reader{subscriber}@shop.example", "language": language, "offers": ["tea", "honey"]}
    said = {"language": {"DataType": "String", "StringValue": language}}
    return {"Id": str(subscriber), "MessageBody": json.dumps(body), "MessageAttributes": said}


def main(minutes: float = MINUTES) -> None:
    """Takes all pictures."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="encola-shop-") as directory, BusyDay(Path(directory), workers=2) as shop:
        time.sleep(minutes * 60)  # there is nothing to wait for but time: charts are of it
        shop.sqs.send_message(QueueUrl=shop.url("stock-alerts"), MessageBody="tea is short", DelaySeconds=600)
        watch = Watch()
        with sync_playwright() as playwright:
            browser = chromium.launch(playwright)
            desktop = Desktop(browser, shop.server.url, watch)
            _operate(desktop.open())
            for scheme in ("light", "dark"):
                page = desktop.open(color_scheme=scheme, reduced_motion="reduce")
                for name, path in sites(shop).items():
                    _take(page, path, f"{name}-{scheme}")
            desktop.close()
            phone = Desktop(browser, shop.server.url, watch)
            for scheme in ("light", "dark"):
                page = phone.open(color_scheme=scheme, device_scale_factor=2)
                _take(page, "/", f"phone-{scheme}", chromium.PHONE)
            phone.close()
            browser.close()
        assert watch.problems == [], watch.problems


def _operate(page: Page) -> None:
    """Somebody holds the newsletter back, and tidies up: the audit log has something to tell."""
    page.goto("/ui/queues/newsletter")
    page.get_by_role("button", name="Pause").click()
    page.goto("/ui/queues/orders/configuration")
    page.locator("input[name=VisibilityTimeout]").fill("60")
    page.get_by_role("button", name="Save").click()
    page.goto("/ui/jobs?state=dead&task=invoice")
    page.locator("table.rows tbody th a").last.click()
    page.get_by_role("button", name="Retry").click()


def sites(shop: Shop) -> Mapping[str, str]:
    """What is taken, by the name of its picture."""

    def first(path: str, *names: Any) -> Any:
        found: Any = shop.twin(path)
        for name in names:
            found = found[name]
        return found

    letter = first("/ui/queues/mails-dead/messages", "rows", 0, "id")
    return {
        "overview": "/",
        "queue": "/ui/queues/orders",
        "messages": "/ui/queues/newsletter/messages?text=reader7&attribute=language%3Den",
        "message": f"/ui/queues/mails-dead/messages/{letter}?show=auto",
        "dead-letters": "/ui/queues/mails-dead/dead-letters",
        "redrive": "/ui/queues/mails-dead/dead-letters/plan?act=redrive&scope=all",
        "jobs": "/ui/jobs",
        "job": f"/ui/jobs/{first('/ui/jobs?state=running', 'rows', -1, 'key')}",
        "job-dead": f"/ui/jobs/{first('/ui/jobs?state=dead', 'rows', 0, 'key')}",
        "workers": "/ui/workers",
        "mappings": "/ui/mappings",
        "mapping": f"/ui/mappings/{first('/ui/mappings?search=uploads', 'rows', 0, 'uuid')}",
        "configuration": "/ui/queues/orders/configuration",
        "send": "/ui/queues/orders/send",
        "server": "/ui/server",
        "audit": "/ui/audit",
    }


def _take(page: Page, path: str, name: str, size: ViewportSize | None = None) -> None:
    page.set_viewport_size(size or {"width": 1280, "height": HEIGHTS.get(name.rpartition("-")[0], 800)})
    page.goto(path)
    if name.startswith("messages-"):
        page.get_by_role("link", name="Show the body of").first.click()
        page.locator("pre.body").wait_for()
    if name.startswith("send-"):
        page.get_by_label("Body").fill(json.dumps({"order": 48_120, "customer": "blue", "lines": 3}, indent=2))
        page.get_by_label("Attributes").fill('{"customer": "blue", "lines": 3}')
    if page.locator("#live").get_attribute("data-events"):
        is_live(page)
    if page.locator(".chart").count():
        page.locator(".chart canvas").first.wait_for()
    page.evaluate("document.activeElement.blur()")
    picture = IMAGES / f"{name}.png"
    length = picture.write_bytes(smaller(page.screenshot()))
    sys.stdout.write(f"{picture.relative_to(ROOT)}  {length:,} bytes\n")
    assert length <= BYTES_MAX, f"{picture} has {length} bytes"


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
