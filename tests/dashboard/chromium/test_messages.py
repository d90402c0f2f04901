"""Messages and dead letters in the browser: looked at without a lease, found, revealed as text, sent back, deleted."""

import re
from typing import Any

from playwright.sync_api import Page, expect

from ..browser.chromium import Watch


def _rows(page: Page) -> Any:
    return page.locator("table.rows tbody tr:not([data-part])")


def _told(page: Page) -> Any:
    return page.locator("main").get_by_role("status")


def _waiting(sqs: Any, name: str) -> str:
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    names = ["ApproximateNumberOfMessages"]
    return str(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"][names[0]])


def test_bodies_are_shown_when_asked_for_as_text_and_nothing_is_leased(page: Page, sqs: Any, orders: str) -> None:
    page.goto(f"queues/{orders}/messages")
    expect(_rows(page)).to_have_count(3)
    assert "<script>document.title" not in page.locator("main").inner_text()
    for show in page.get_by_role("link", name="Show the body of").all():
        show.click()
    expect(page.locator("pre.body")).to_have_count(3)
    expect(page.locator("pre.body", has_text="<script>document.title='taken'</script>")).to_be_visible()
    expect(page.locator("pre.body", has_text='"order": 17')).to_be_visible()
    hostile = page.locator("tr", has=page.locator("pre.body", has_text="taken"))
    hostile.get_by_role("link", name="hex").click()
    expect(page.locator("pre.body", has_text="3c 73 63 72")).to_be_visible()
    assert page.title() != "taken"
    assert _waiting(sqs, orders) == "3"


def test_a_message_of_the_list_has_a_page_of_its_own(page: Page, orders: str) -> None:
    page.goto(f"queues/{orders}/messages?order=newest")
    link = _rows(page).first.get_by_role("link").first
    number = link.inner_text()
    link.click()
    expect(page.get_by_role("heading", level=1)).to_have_text(number)
    expect(page.locator("pre.body")).to_have_count(0)
    page.get_by_role("link", name="Show the body").click()
    expect(page.locator("pre.body")).to_have_text("three")


def test_a_filter_finds_by_text_and_by_attribute_and_stands_in_the_address(
    page: Page, sqs: Any, orders: str, watch: Watch
) -> None:
    watch.refusal(400)
    url = sqs.get_queue_url(QueueName=orders)["QueueUrl"]
    blue = {"tenant": {"DataType": "String", "StringValue": "blue"}}
    sqs.send_message(QueueUrl=url, MessageBody="tea for blue", MessageAttributes=blue)
    page.goto(f"queues/{orders}/messages")
    page.get_by_label("Text in the body").fill("tea")
    page.get_by_label("Text in the body").press("Enter")
    expect(_rows(page)).to_have_count(2)
    page.get_by_label("Attribute").fill("tenant=blue")
    page.get_by_role("button", name="Look").click()
    expect(_rows(page)).to_have_count(1)
    expect(page).to_have_url(re.compile("text=tea.*tenant"))
    page.get_by_label("Older than").fill("yesterday")
    page.get_by_role("button", name="Look").click()
    expect(page.get_by_role("alert")).to_be_visible()
    page.get_by_role("link", name="Clear").click()
    expect(_rows(page)).to_have_count(4)


def test_one_message_is_deleted_after_a_second_look(page: Page, sqs: Any, orders: str) -> None:
    page.goto(f"queues/{orders}/messages")
    _rows(page).first.get_by_role("link").first.click()
    expect(page.get_by_role("button", name="Delete it for good")).to_be_hidden()
    page.get_by_text("Delete…").click()
    page.get_by_role("button", name="Delete it for good").click()
    expect(_told(page)).to_be_visible()
    assert _waiting(sqs, orders) == "2"


def test_chosen_dead_letters_go_back_after_a_dry_run(page: Page, sqs: Any, dead: str) -> None:
    page.goto(f"queues/{dead}/dead-letters")
    expect(page.locator("table.rows")).to_contain_text(f"{dead}-source")
    page.get_by_role("link", name="Choose messages").click()
    boxes = page.get_by_role("checkbox", name=re.compile("^Choose "))
    page.get_by_role("checkbox", name="All on this page").check()
    for box in boxes.all():
        expect(box).to_be_checked()
    boxes.first.uncheck()
    page.get_by_role("button", name="Redrive…").click()
    expect(page.get_by_text("Dry run: nothing was done yet")).to_be_visible()
    assert _waiting(sqs, dead) == "3"
    page.get_by_role("button", name="Redrive 2").click()
    expect(_told(page)).to_be_visible()
    page.goto(f"queues/{dead}-source/messages")
    expect(_rows(page)).to_have_count(2)
    assert _waiting(sqs, dead) == "1"


def test_all_dead_letters_go_back_and_the_open_page_follows(page: Page, sqs: Any, dead: str) -> None:
    page.goto(f"queues/{dead}/dead-letters")
    page.get_by_role("link", name="Redrive all…").click()
    expect(page.get_by_text("Would go to")).to_be_visible()
    page.get_by_role("button", name="Redrive 3").click()
    expect(page.locator("#live")).to_contain_text("0 messages are here")
    assert _waiting(sqs, f"{dead}-source") == "3"


def test_a_dead_letter_is_edited_and_sent_again(page: Page, sqs: Any, dead: str) -> None:
    page.goto(f"queues/{dead}/dead-letters/messages")
    _rows(page).first.locator("th a").click()
    page.get_by_role("link", name="Edit and redrive…").click()
    page.get_by_label("Body").fill('{"order": "mended"}')
    page.get_by_role("button", name="Send it again").click()
    expect(_told(page)).to_be_visible()
    url = sqs.get_queue_url(QueueName=f"{dead}-source")["QueueUrl"]
    assert sqs.receive_message(QueueUrl=url)["Messages"][0]["Body"] == '{"order": "mended"}'
    assert _waiting(sqs, dead) == "2"


def test_all_dead_letters_are_deleted_only_with_the_queues_name(page: Page, sqs: Any, dead: str) -> None:
    page.goto(f"queues/{dead}/dead-letters")
    page.get_by_role("link", name="Delete those").first.click()
    page.get_by_label("Type the queue's name").fill(dead)
    page.get_by_role("button", name=re.compile("^Delete ")).click()
    expect(_told(page)).to_be_visible()
    page.goto(f"queues/{dead}/dead-letters")
    expect(page.locator("#live")).to_contain_text("0 messages are here")
    assert _waiting(sqs, dead) == "0"
