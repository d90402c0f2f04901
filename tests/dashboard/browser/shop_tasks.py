"""The shop's tasks and its function: they succeed, fail, take long, and tell how far they are."""

import time
from typing import Any

import encola

PAUSE_SECONDS = 0.3
"""Of a page of a report: one with a thousand pages is at work for as long as any test."""


def report(month: str, pages: int) -> str:
    """Writes a report, page by page."""
    for page in range(pages):
        encola.progress(page / pages, f"page {page + 1} of {pages}")
        time.sleep(PAUSE_SECONDS)
    return f"the report of {month}"


def mail(order: int, address: str) -> dict[str, Any]:
    """Nobody lives at nowhere.example, nobody answers at slow.example; every seventh order has to wait once."""
    if address.endswith("@slow.example"):
        raise TimeoutError("no answer from mx.slow.example within 10 s")
    if address.endswith("@nowhere.example"):
        raise encola.Permanent(f"550 no such mailbox: {address}")
    if order % 7 == 0 and encola.current_job().attempt == 1:
        raise ConnectionError("the mail server is busy")
    return {"order": order, "sent": True}


def invoice(number: int, total: float) -> str:
    """An invoice of less than nothing cannot be written."""
    if total < 0:
        raise ValueError(f"the total of invoice {number} is negative")
    return f"{number}.pdf"


def thumbnails(event: Any, context: Any) -> Any:
    """A pushed function: fails for pictures that are broken."""
    broken = [one["messageId"] for one in event["Records"] if "broken" in one["body"]]
    return {"batchItemFailures": [{"itemIdentifier": one} for one in broken]}


def shop(server: str | None = None) -> encola.App:
    """The application, as its workers and its producers have it."""
    made = encola.App("shop", server=server, lease=10)
    made.task(queue="reports", key="{month}", timeout=3600)(report)
    made.task(queue="mails", key="{order}", retries=3, backoff=encola.Backoff(base=0.5))(mail)
    made.task(queue="invoices", key="{number}", retries=0)(invoice)
    return made


app = shop()
