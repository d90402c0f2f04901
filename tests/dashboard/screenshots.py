"""Pictures of the pages for README.md and the docs: ``python -m tests.dashboard.screenshots [SECONDS [DIRECTORY]]``.

A shop is at work for so long (its charts need something to show), in waves; then each page is drawn, light and dark,
as ``NAME-light.png`` and ``NAME-dark.png`` below docs/images.
"""

import json
import math
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from .browser.chromium import WIDE, launch
from .browser.shop import Shop
from .web import Web

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
SECONDS = 240
WAVE_SECONDS = 50
ROUND_SECONDS = 0.2
BYTES_MAX = 150_000
UPPER_PART = 580
SETTLE_MILLISECONDS = 2500
"""Until an open page was told the news at least once, and its charts were drawn."""


def addresses(web: Web) -> dict[str, str]:
    """The pages to be drawn, by the names of their pictures."""
    job = web.twin("/ui/jobs?task=report")["rows"][0]
    letter = web.twin("/ui/queues/mails-dead/dead-letters/messages")["rows"][0]
    return {
        "overview": "/ui/?sort=visible",
        "queue": "/ui/queues/orders",
        "messages": "/ui/queues/orders/messages?order=newest",
        "message": f"/ui/queues/mails-dead/messages/{letter['id']}?show=auto",
        "dead-letters": "/ui/queues/mails-dead/dead-letters",
        "redrive": "/ui/queues/mails-dead/dead-letters/plan?act=redrive&scope=all",
        "jobs": "/ui/jobs",
        "job": f"/ui/jobs/{job['key']}",
        "workers": "/ui/workers",
        "mappings": "/ui/mappings",
        "server": "/ui/server",
    }


def fill(shop: Shop, seconds: float) -> None:
    """Orders come in waves, faster than they are served at the crest of each."""
    start = time.monotonic()
    number = 90_000
    while (now := time.monotonic() - start) < seconds:
        for _ in range(round(5 * max(0.0, math.sin(2 * math.pi * now / WAVE_SECONDS)) ** 2)):
            number += 10
            bodies = [
                json.dumps({"order": n, "customer": "blue", "lines": ["tea", "cups"]})
                for n in range(number, number + 10)
            ]
            entries = [{"Id": str(place), "MessageBody": body} for place, body in enumerate(bodies)]
            shop.sqs.send_message_batch(QueueUrl=shop.url("orders"), Entries=entries)
        time.sleep(ROUND_SECONDS)


def draw(browser: Browser, shop: Shop, directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    paths = addresses(Web(shop.server.url))
    for scheme in ("light", "dark"):
        scheme_: Any = scheme
        context = browser.new_context(
            base_url=shop.server.url, viewport=WIDE, color_scheme=scheme_, reduced_motion="reduce", timezone_id="UTC"
        )
        page = context.new_page()
        for name, path in paths.items():
            _draw(page, path, directory / f"{name}-{scheme}.png")
        context.close()


def _draw(page: Page, path: str, file: Path) -> None:
    answer = page.goto(path)
    if answer is None or answer.status != 200:
        raise SystemExit(f"{path} was answered with {answer and answer.status}")
    page.wait_for_timeout(SETTLE_MILLISECONDS)
    drawn = page.screenshot()
    if len(drawn) > BYTES_MAX:  # a page full of text: its upper part says as much
        drawn = page.screenshot(clip={"x": 0, "y": 0, "width": WIDE["width"], "height": UPPER_PART})
    file.write_bytes(drawn)
    sys.stdout.write(f"{file.name} {file.stat().st_size // 1000} kB\n")
    sys.stdout.flush()


def main(seconds: float = SECONDS, directory: Path = IMAGES) -> None:
    with tempfile.TemporaryDirectory() as place, Shop(Path(place), workers=2) as shop:
        fill(shop, seconds)
        with sync_playwright() as playwright:
            browser = launch(playwright)
            draw(browser, shop, directory)
            browser.close()


if __name__ == "__main__":
    main(*[float(one) for one in sys.argv[1:2]], *[Path(one) for one in sys.argv[2:3]])
