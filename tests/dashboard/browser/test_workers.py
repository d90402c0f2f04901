"""Workers that are really there, and mappings that really push."""

import re

from playwright.sync_api import Page, expect

from .chromium import Watch
from .shop import Shop
from .steps import follow, is_live, number, press, refused, row, rows, tile, title, told


def test_a_worker_is_seen_at_work_and_stopped_gently(page: Page, shop: Shop) -> None:
    process = shop.worker("--concurrency", "2", "--queue", "invoices")
    page.goto("/ui/workers")
    is_live(page)
    own = rows(page).filter(has_text=re.compile(rf"process {process.pid}\b"))
    expect(own).to_contain_text("running")
    shop.until(lambda: number(own.locator("[data-label=Done]")) > 0)
    own.locator("th a").first.click()
    expect(page.locator("main")).to_contain_text(str(process.pid))
    expect(page.get_by_role("link", name="invoices")).to_be_visible()
    follow(page, "Stop gently…")
    expect(page.locator("main")).to_contain_text("will be asked to stop")
    press(page, "Stop it gently")
    expect(told(page)).to_contain_text("It was asked to stop")
    assert process.wait(30) == 0
    expect(own).to_have_count(0)
    page.goto("/ui/audit?search=StopWorker")
    expect(rows(page).first).to_contain_text(str(process.pid))


def test_what_a_worker_runs_leads_to_its_jobs(page: Page, shop: Shop) -> None:
    page.goto("/ui/workers")
    job = page.locator("[data-label=Runs] li a").first
    expect(job).to_be_visible()
    key = job.inner_text()
    job.click()
    title(page, key)


def test_a_queue_names_its_consumers(page: Page, shop: Shop) -> None:
    page.goto("/ui/queues/mails")
    consumers = page.locator("section", has=page.get_by_role("heading", name="Consumers", exact=True)).first
    expect(consumers.get_by_role("link").first).to_be_visible()
    name = consumers.get_by_role("link").first.inner_text()
    consumers.get_by_role("link").first.click()
    title(page, name)


def test_a_mapping_is_disabled_and_enabled_and_messages_wait_meanwhile(page: Page, shop: Shop) -> None:
    page.goto(f"/ui/mappings/{shop.mapping()}")
    is_live(page)
    shop.send("albums", "one.jpg", "two.jpg")
    expect(tile(page, "Done")).to_have_text("2")
    press(page, "Disable")
    expect(page.get_by_role("button", name="Enable")).to_be_visible()
    shop.send("albums", "three.jpg")
    assert shop.attributes("albums")["ApproximateNumberOfMessages"] == "1"
    press(page, "Enable")
    expect(tile(page, "Done")).to_have_text("3")


def test_a_mapping_tells_of_messages_that_failed(page: Page, shop: Shop) -> None:
    page.goto("/ui/mappings?search=uploads")
    is_live(page)
    mapping = row(page, "thumbnails")
    before = number(mapping.locator("[data-label=Done]"))
    shop.until(lambda: number(mapping.locator("[data-label=Done]")) > before)
    expect(mapping).to_contain_text("declared")
    follow(page, "thumbnails")
    shop.until(lambda: number(tile(page, "Failed")) > 0)
    expect(page.locator("main")).to_contain_text("reported by the function")
    expect(page.get_by_role("button", name="Disable")).to_have_count(0)
    expect(page.get_by_text("It is declared in the server's configuration: change it there.")).to_be_visible()


def test_a_mapping_is_changed_and_what_cannot_be_is_refused(page: Page, shop: Shop, watch: Watch) -> None:
    watch.refusal(400)
    page.goto(f"/ui/mappings/{shop.mapping()}")
    page.get_by_label("Batch size").fill("50")
    page.get_by_label("Maximum concurrency").fill("7")
    press(page, "Save")
    expect(refused(page)).to_be_visible()
    expect(page.get_by_label("Batch size")).to_have_value("50")
    expect(page.get_by_label("Maximum concurrency")).to_have_value("7")
    page.get_by_label("Batch size").fill("7")
    press(page, "Save")
    expect(told(page)).to_be_visible()
    expect(page.locator("main")).to_contain_text("up to 7 messages")
    assert shop.functions.get_event_source_mapping(UUID=shop.mapping())["BatchSize"] == 7


def test_a_mapping_is_deleted_after_a_second_look(page: Page, shop: Shop) -> None:
    name = shop.queue()
    made = shop.functions.create_event_source_mapping(EventSourceArn=shop.arn(name), FunctionName="thumbnails")
    page.goto(f"/ui/mappings?search={name}")
    is_live(page)
    expect(rows(page)).to_contain_text("Enabled")
    follow(page, "thumbnails")
    follow(page, "Delete…")
    press(page, page.locator("main form button.danger").inner_text())
    page.goto(f"/ui/mappings?search={name}")
    expect(rows(page)).to_have_count(0)
    page.goto(f"/ui/audit?search={made['UUID']}")
    expect(rows(page).first).to_contain_text("DeleteEventSourceMapping")
