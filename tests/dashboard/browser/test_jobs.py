"""Jobs of real workers: they are followed while they run, cancelled, tried again, forgotten."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

import encola

from . import shop_tasks
from .chromium import Watch
from .shop import Shop
from .steps import follow, is_live, press, row, rows, tile, title, told


@pytest.fixture(scope="module")
def app(shop: Shop) -> Iterator[encola.App]:
    """What asks for jobs."""
    made = shop_tasks.shop(shop.server.url)
    yield made
    made.close()


def test_a_long_job_is_followed_and_cancelled(page: Page, shop: Shop, app: encola.App) -> None:
    app.tasks["report"].send("the-long-one", 1000)
    page.goto("/ui/jobs?prefix=shop/report/the-long")
    is_live(page)
    expect(row(page, "shop/report/the-long-one")).to_contain_text("running")
    follow(page, "shop/report/the-long-one")
    title(page, "shop/report/the-long-one")
    said = page.locator("#live .stretch")
    expect(said).to_contain_text(re.compile(r"page \d+ of 1000"))
    before = said.inner_text()
    expect(said).not_to_have_text(before)
    press(page, "Cancel")
    expect(page.locator(".badge", has_text=re.compile("^cancelled$"))).to_be_visible()
    page.goto("/ui/audit?search=the-long-one")
    expect(rows(page)).to_contain_text("CancelJob")


def test_a_dead_job_tells_why_and_is_tried_again(page: Page, shop: Shop, app: encola.App) -> None:
    app.tasks["invoice"].send(100_001, -5.0)
    page.goto("/ui/jobs?prefix=shop/invoice/100001")
    expect(row(page, "shop/invoice/100001")).to_contain_text("dead")
    follow(page, "shop/invoice/100001")
    attempts = page.locator("ol.timeline li")
    expect(attempts).to_have_count(1)
    expect(attempts).to_contain_text("ValueError: the total of invoice 100001 is negative")
    attempts.locator("summary").click()
    expect(attempts.locator("pre")).to_contain_text("raise ValueError")
    press(page, "Retry")
    expect(told(page)).to_contain_text("from invoices-dead to invoices")
    expect(attempts).to_have_count(2)
    page.goto("/ui/audit?search=100001")
    expect(rows(page)).to_contain_text("RetryJob")


def test_the_message_of_a_dead_job_is_a_link_away(page: Page, shop: Shop, app: encola.App) -> None:
    app.tasks["mail"].send(100_002, "ann@nowhere.example")
    page.goto("/ui/jobs?prefix=shop/mail/100002")
    expect(row(page, "shop/mail/100002")).to_contain_text("dead")
    follow(page, "shop/mail/100002")
    follow(page, "on mails-dead")
    expect(page.get_by_text("What went wrong")).to_be_visible()
    expect(page.locator("main")).to_contain_text("550 no such mailbox: ann@nowhere.example")
    follow(page, "Show the body")
    expect(page.locator("pre.body", has_text="ann@nowhere.example").last).to_be_visible()
    follow(page, "shop/mail/100002")
    title(page, "shop/mail/100002")


def test_a_completed_job_shows_its_result_and_is_forgotten(
    page: Page, shop: Shop, app: encola.App, watch: Watch
) -> None:
    watch.refusal(404)
    app.tasks["invoice"].send(100_003, 5.0)
    page.goto("/ui/jobs?prefix=shop/invoice/100003")
    expect(row(page, "shop/invoice/100003")).to_contain_text("completed")
    follow(page, "shop/invoice/100003")
    expect(page.locator("#result pre")).to_have_count(0)
    follow(page, "Show it")
    expect(page.locator("#result pre")).to_have_text('"100003.pdf"')
    follow(page, "Forget…")
    press(page, "Forget it")
    expect(told(page)).to_contain_text("shop/invoice/100003 is forgotten")
    page.goto("/ui/jobs/shop/invoice/100003")
    expect(page.locator("main")).to_contain_text("There is no record of a job shop/invoice/100003")


def test_jobs_are_found_by_state_task_queue_and_what_they_say(page: Page, shop: Shop, app: encola.App) -> None:
    for number in (1, 2):
        app.tasks["mail"].send(200_000 + number, f"needle{number}@nowhere.example")
    page.goto("/ui/jobs?prefix=shop/mail/20000")
    expect(page.locator(".badge.bad", has_text="dead")).to_have_count(2)
    follow(page, "dead")
    expect(rows(page)).to_have_count(2)
    page.get_by_label("Says").fill("needle2@")
    page.get_by_label("Says").press("Enter")
    expect(rows(page)).to_have_count(1)
    follow(page, "Clear")
    page.get_by_label("Task").fill("invoice")
    page.get_by_label("Queue").fill("mails")
    press(page, "Filter")
    expect(rows(page)).to_have_count(0)
    page.get_by_label("Task").fill("mail")
    press(page, "Filter")
    expect(rows(page).first).to_contain_text("mails")


def test_dead_jobs_are_tried_again_many_at_once_after_a_dry_run(page: Page, shop: Shop, app: encola.App) -> None:
    for number in range(3):
        app.tasks["invoice"].send(300_000 + number, -1.0)
    page.goto("/ui/jobs?state=dead&prefix=shop/invoice/30000")
    expect(rows(page)).to_have_count(3)
    follow(page, "Retry dead jobs…")
    expect(tile(page, "Can be retried")).to_have_text("3")
    page.get_by_role("checkbox", name="shop/invoice/300000").check()
    page.get_by_role("checkbox", name="shop/invoice/300002").check()
    press(page, "Retry the chosen")
    expect(told(page)).to_contain_text("Retry 2 dead jobs")
    expect(page.locator(".work")).to_contain_text("2 done")
    page.goto("/ui/jobs/shop/invoice/300002")
    expect(page.locator("ol.timeline li")).to_have_count(2)
    page.goto("/ui/jobs/shop/invoice/300001")
    expect(page.locator("ol.timeline li")).to_have_count(1)
