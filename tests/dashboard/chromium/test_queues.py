"""Queues in the browser: found, made, written to, paused, purged and deleted."""

import re
from typing import Any

from playwright.sync_api import Page, expect

from ...process import ServerProcess
from ..browser.chromium import Watch


def _tile(page: Page, label: str) -> Any:
    return page.locator(".tile", has=page.locator("dt", has_text=re.compile(f"^{label}$"))).locator("dd")


def _row(page: Page, name: str) -> Any:
    return page.locator("table.rows tbody tr", has=page.get_by_role("link", name=name, exact=True))


def _url(sqs: Any, name: str) -> str:
    url: str = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    return url


def test_the_first_page_is_that_of_the_queues(page: Page, server: ServerProcess, orders: str) -> None:
    page.goto(server.url)
    expect(page.get_by_role("heading", level=1)).to_have_text("Queues")
    expect(page.get_by_role("link", name=orders, exact=True)).to_be_visible()


def test_a_search_narrows_the_list_as_one_types_and_stands_in_the_address(
    page: Page, sqs: Any, orders: str, name: str
) -> None:
    sqs.create_queue(QueueName=f"{name}-other")
    page.goto("./")
    expect(_row(page, f"{name}-other")).to_be_visible()
    page.get_by_role("searchbox", name="Search queues").press_sequentially(f"{name}-OTH")
    expect(_row(page, orders)).to_have_count(0)
    expect(_row(page, f"{name}-other")).to_be_visible()
    expect(page).to_have_url(re.compile(f"search={name}-OTH"))
    page.reload()
    expect(page.locator("table.rows tbody tr")).to_have_count(1)
    page.go_back()
    expect(_row(page, orders)).to_be_visible()


def test_numbers_of_the_list_follow_without_a_reload(page: Page, sqs: Any, orders: str) -> None:
    page.goto(f"./?search={orders}")
    waiting = _row(page, orders).locator("td[data-label=Waiting]")
    expect(waiting).to_have_text("3")
    expect(page.locator("#state")).to_have_text("live")
    page.evaluate("window.same = true")
    sqs.send_message(QueueUrl=_url(sqs, orders), MessageBody="four")
    expect(waiting).to_have_text("4")
    assert page.evaluate("window.same")


def test_the_page_of_a_queue_follows_and_draws_its_charts(page: Page, sqs: Any, orders: str) -> None:
    page.goto(f"queues/{orders}")
    expect(page.locator(".chart canvas")).to_have_count(4)
    expect(_tile(page, "Waiting")).to_have_text("3")
    sqs.receive_message(QueueUrl=_url(sqs, orders), MaxNumberOfMessages=1)
    expect(_tile(page, "In flight")).to_have_text("1")
    for range_ in page.locator(".ranges a").all_text_contents():
        page.locator(".ranges").get_by_role("link", name=range_, exact=True).click()
        expect(page.locator(".ranges a[aria-current]")).to_have_text(range_)
        expect(page.locator(".chart canvas")).to_have_count(4)


def test_a_queue_is_made_and_bad_input_stays_in_the_form(page: Page, sqs: Any, name: str, watch: Watch) -> None:
    watch.refusal(400)
    page.goto("./")
    page.get_by_role("link", name="Create a queue").click()
    page.get_by_label("Name").fill("not a name!")
    page.get_by_role("button", name="Create the queue").click()
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.get_by_label("Name")).to_have_value("not a name!")
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Create the queue").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(name)
    assert _url(sqs, name)


def test_a_message_is_sent_with_attributes_and_a_note_tells_its_id(
    page: Page, sqs: Any, orders: str, watch: Watch
) -> None:
    watch.refusal(400)
    body = "<img src=x onerror=\"document.title='taken'\">"
    page.goto(f"queues/{orders}/send")
    page.get_by_label("Body").fill(body)
    page.get_by_label("Attributes").fill("not JSON")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("not JSON")
    expect(page.get_by_label("Body")).to_have_value(body)
    page.get_by_label("Attributes").fill('{"tenant": "blue", "priority": 3}')
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.locator("main").get_by_role("status")).to_contain_text("Sent, as ")
    got = sqs.receive_message(
        QueueUrl=_url(sqs, orders), MaxNumberOfMessages=10, MessageAttributeNames=["All"], WaitTimeSeconds=1
    )["Messages"]
    sent = next(one for one in got if one["Body"] == body)
    assert sent["MessageAttributes"]["priority"] == {"StringValue": "3", "DataType": "Number"}


def test_a_message_of_a_mebibyte_is_sent_from_the_form(page: Page, sqs: Any, orders: str) -> None:
    page.goto(f"queues/{orders}/send")
    page.get_by_label("Body").fill("x" * (1 << 20))
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.locator("main").get_by_role("status")).to_contain_text("Sent, as ")


def test_a_paused_queue_gives_nothing_until_it_is_resumed(page: Page, sqs: Any, orders: str) -> None:
    page.goto(f"queues/{orders}")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("Paused: nobody receives from this queue")).to_be_visible()
    assert "Messages" not in sqs.receive_message(QueueUrl=_url(sqs, orders))
    page.goto(f"./?search={orders}")
    expect(_row(page, orders)).to_contain_text("paused")
    page.goto(f"queues/{orders}")
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    assert sqs.receive_message(QueueUrl=_url(sqs, orders))["Messages"]


def test_to_purge_or_delete_a_queue_one_types_its_name(page: Page, orders: str, watch: Watch) -> None:
    watch.refusal(400)
    page.goto(f"queues/{orders}")
    page.get_by_role("link", name="Purge…").click()
    page.get_by_label("Type the queue's name").fill("another")
    page.get_by_role("button", name=f"Purge {orders}").click()
    expect(page.get_by_role("alert")).to_contain_text("Nothing was done")
    page.get_by_label("Type the queue's name").fill(orders)
    page.get_by_role("button", name=f"Purge {orders}").click()
    expect(_tile(page, "Waiting")).to_have_text("0")
    page.get_by_role("link", name="Delete…").click()
    page.get_by_label("Type the queue's name").fill(orders)
    page.get_by_role("button", name=f"Delete {orders}").click()
    expect(page.locator("main").get_by_role("status")).to_contain_text(f"{orders} was deleted")
    expect(_row(page, orders)).to_have_count(0)
    page.goto(f"audit?search={orders}")
    expect(page.locator("table.rows td[data-label=Outcome]")).to_have_text(
        ["done", "done", re.compile("^Nothing was done")]
    )


def test_attributes_are_changed_and_a_refused_change_says_why(page: Page, sqs: Any, orders: str, watch: Watch) -> None:
    watch.refusal(400)
    page.goto(f"queues/{orders}/configuration")
    field = page.locator("input[name=VisibilityTimeout]")
    field.fill("ninety")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_be_visible()
    expect(field).to_have_value("ninety")
    field.fill("90")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("main").get_by_role("status")).to_be_visible()
    attributes = sqs.get_queue_attributes(QueueUrl=_url(sqs, orders), AttributeNames=["VisibilityTimeout"])
    assert attributes["Attributes"]["VisibilityTimeout"] == "90"
