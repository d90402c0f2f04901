"""The overview and the page of a queue, while a shop is at work."""

import re
import threading
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from .chromium import Watch
from .shop import Shop
from .steps import follow, is_live, number, press, refused, row, rows, tile, title, told


def test_the_open_overview_follows_the_shop(page: Page, shop: Shop) -> None:
    page.goto("/")
    is_live(page)
    page.evaluate("window.neverReloaded = true")
    shop.until(lambda: number(tile(page, "Arrivals")) > 1)
    before = number(tile(page, "Dead letters"))
    shop.until(lambda: number(tile(page, "Dead letters")) > before)
    expect(row(page, "mails").locator("[data-label=Consumers]")).to_have_text(re.compile(r"^\d \+ \d$"))
    expect(row(page, "orders").locator("svg.spark")).to_be_visible()
    assert page.evaluate("window.neverReloaded")


def test_the_marked_row_stays_marked_while_numbers_change(page: Page, shop: Shop) -> None:
    page.goto("/?search=orders")
    is_live(page)
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    expect(page.locator("tr.marked")).to_contain_text("orders")
    before = row(page, "orders").inner_text()
    shop.until(lambda: row(page, "orders").inner_text() != before)
    expect(page.locator("tr.marked")).to_have_count(1)
    page.keyboard.press("Enter")
    title(page, "orders")


def test_a_column_is_sorted_by_a_click_on_its_head(page: Page, shop: Shop) -> None:
    page.goto("/")
    heads = page.locator("table.rows thead")
    for head in ("Waiting", "In flight", "Oldest", "In /s", "Done /s", "Empty in", "Dead"):
        heads.get_by_role("link", name=head, exact=True).click()
        expect(heads.locator("[aria-sort=descending]")).to_have_text(head)
        expect(page).to_have_url(re.compile("sort="))
    counts = [int(text) for text in page.locator("[data-label=Dead]").all_inner_texts() if text.isdigit()]
    assert counts == sorted(counts, reverse=True)
    heads.get_by_role("link", name="Queue", exact=True).click()
    expect(heads.locator("[aria-sort=ascending]")).to_have_text("Queue")
    names = page.locator("table.rows tbody th a").all_inner_texts()
    assert names == sorted(names)


def test_dead_letters_of_the_list_lead_to_their_reasons(page: Page, shop: Shop) -> None:
    page.goto("/")
    row(page, "mails").locator("[data-label=Dead] a").click()
    title(page, "mails-dead")
    expect(rows(page).first).to_contain_text("no such mailbox")


def test_a_queue_is_made_with_its_dead_letter_queue(page: Page, shop: Shop, watch: Watch) -> None:
    watch.refusal(400)
    dead, name = shop.queue(), "made-with-care"
    page.goto("/ui/queues-new")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Visibility timeout").fill("45")
    page.get_by_label("Dead-letter queue").select_option(dead)
    page.get_by_label("Receives before that").fill("5000")
    press(page, "Create the queue")
    expect(refused(page)).to_contain_text("maxReceiveCount")
    expect(page.get_by_label("Name")).to_have_value(name)
    expect(page.get_by_label("Visibility timeout")).to_have_value("45")
    expect(page.get_by_label("Dead-letter queue")).to_have_value(dead)
    page.get_by_label("Receives before that").fill("4")
    press(page, "Create the queue")
    title(page, name)
    made = shop.attributes(name)
    assert made["VisibilityTimeout"] == "45"
    assert f'{dead}"' in made["RedrivePolicy"]
    assert '"maxReceiveCount":4' in made["RedrivePolicy"].replace(" ", "").replace('"4"', "4")


def test_an_ordered_queue_is_made_and_gets_its_suffix(page: Page, shop: Shop) -> None:
    page.goto("/")
    follow(page, "Create a queue")
    follow(page, "FIFO")
    page.get_by_label("Name").fill("parcels")
    page.get_by_label("Deduplicate by content").select_option("yes")
    press(page, "Create the queue")
    title(page, "parcels.fifo")
    expect(page.locator(".badge", has_text="FIFO")).to_be_visible()
    assert shop.attributes("parcels.fifo")["ContentBasedDeduplication"] == "true"
    follow(page, "Send")
    page.get_by_label("Body").fill("one")
    page.get_by_label("Message group").fill("blue")
    press(page, "Send")
    expect(told(page)).to_contain_text("Sent, as ")
    assert [one["Body"] for one in shop.receive("parcels.fifo")] == ["one"]


@pytest.mark.parametrize(
    ("label", "typed", "said"),
    [
        ("Name", "no blanks", "alphanumeric"),
        ("Delay", "901", "DelaySeconds"),
        ("Retention", "soon", "MessageRetention"),
    ],
)
def test_what_cannot_be_is_refused_and_what_was_typed_stays(
    page: Page, shop: Shop, watch: Watch, label: str, typed: str, said: str
) -> None:
    watch.refusal(400)
    page.goto("/ui/queues-new")
    page.get_by_label("Name").fill("refused")
    page.get_by_label("Long poll").fill("7")
    field = page.get_by_label(re.compile(f"^{label}"))
    field.fill(typed)
    press(page, "Create the queue")
    expect(refused(page)).to_contain_text(said)
    expect(field).to_have_value(typed)
    expect(page.get_by_label("Long poll")).to_have_value("7")


def test_a_parked_consumer_gets_nothing_of_a_paused_queue_and_then_gets_it(page: Page, shop: Shop) -> None:
    name, got = shop.queue(), []
    page.goto(f"/ui/queues/{name}")
    press(page, "Pause")
    expect(page.get_by_role("button", name="Resume")).to_be_visible()

    def consume() -> None:
        got.extend(shop.receive(name, WaitTimeSeconds=20))

    parked = threading.Thread(target=consume, daemon=True)
    parked.start()
    expect(page.get_by_text("1 poll waits for a message.")).to_be_visible()
    shop.send(name, "patience")
    expect(tile(page, "Waiting")).to_have_text("1")
    assert got == []
    press(page, "Resume")
    parked.join(30)
    assert [one["Body"] for one in got] == ["patience"]
    expect(tile(page, "In flight")).to_have_text("1")


def test_two_tabs_see_what_either_does(page: Page, shop: Shop, desktop: Any) -> None:
    name = shop.queue()
    page.goto(f"/ui/queues/{name}")
    other = desktop.tab(page.context, f"/ui/queues/{name}")
    is_live(page)
    is_live(other)
    press(page, "Pause")
    expect(other.get_by_text("Paused: nobody receives")).to_be_visible()
    other.goto(f"/ui/queues/{name}/confirm/delete")
    other.get_by_label("Type the queue's name").fill(name)
    press(other, f"Delete {name}")
    expect(told(other)).to_contain_text("was deleted")
    expect(page.locator("#state")).to_have_text("gone")
