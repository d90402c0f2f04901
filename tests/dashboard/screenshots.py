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
SETTLE_MILLISECONDS = 2500
"""Until an open page was told the news at least once, and its charts were drawn."""


def addresses(web: Web) -> dict[str, str]:
    """The pages to be drawn, by the names of their pictures."""
    job = _first(web, "/ui/jobs?state=failed", "jobs") or _first(web, "/ui/jobs", "jobs")
    letter = web.twin("/ui/queues/mails-dead/dead-letters/messages")["rows"][0]
    found = {
        "overview": "/ui/?sort=visible",
        "queue": "/ui/queues/orders",
        "messages": "/ui/queues/orders/messages?order=newest",
        "message": f"/ui/queues/mails-dead/messages/{letter['id']}?show=auto",
        "dead-letters": "/ui/queues/mails-dead/dead-letters",
        "redrive": "/ui/queues/mails-dead/dead-letters/plan?act=redrive&scope=all",
        "jobs": "/ui/jobs",
        "workers": "/ui/workers",
        "mappings": "/ui/mappings",
        "server": "/ui/server",
    }
    return {**found, "job": f"/ui/jobs/{job['key']}"} if job else found


def _first(web: Web, path: str, name: str) -> Any:
    return next(iter(web.twin(path).get(name, ())), None)


def fill(shop: Shop, seconds: float) -> None:
    """Orders come in waves, faster than they are served at the crest of each."""
    start = time.monotonic()
    number = 0
    while (now := time.monotonic() - start) < seconds:
        many = int(9 * max(0.0, math.sin(2 * math.pi * now / WAVE_SECONDS)) ** 2)
        for _ in range(many):
            number += 1
            shop.send("orders", json.dumps({"order": 90_000 + number, "customer": "blue", "lines": ["tea", "cups"]}))
        time.sleep(0.2)


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
    page.screenshot(path=file)
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
