"""Messages in the browser: whatever they hold is text, and looking at them takes nothing from anybody."""

import json
import re

import pytest
from playwright.sync_api import Page, expect

from encola.dashboard.figures import count

from .chromium import Watch
from .shop import Shop
from .steps import follow, number, press, row, rows, told

HOSTILE = (
    "<script>alert(1)</script>",
    '<img src=x onerror="alert(2)">',
    "<svg onload=alert(3)></svg>",
    '"><iframe srcdoc="<script>alert(4)</script>"></iframe>',
    "</code></pre><script>alert(5)</script>",
    '<a href="javascript:alert(6)">press me</a>',
    "<style>body{display:none}</style>",
    "{{ 7 * 7 }} ${alert(8)} <%= 9 %>",
    '<div hx-get="/" hx-trigger="load" data-hx-on:load="alert(10)"></div>',
    json.dumps({"<script>alert(11)</script>": "<b onmouseover=alert(12)>"}),
)
"""Bodies that would like to be a page. A dialog fails a test (see ``Watch``)."""

MADE = (
    "script, img, svg:not(.spark), iframe, style, [onload], [onerror], [onmouseover], a[href^=javascript], [hx-trigger]"
)


def test_hostile_messages_are_text_wherever_they_are_shown(page: Page, shop: Shop) -> None:
    name = shop.queue(FifoQueue="true", ContentBasedDeduplication="true")
    for number_, body in enumerate(HOSTILE):
        said = {"note": {"DataType": "String", "StringValue": body}}
        group = f"<b>group{number_}</b>" if "<" not in body[:1] else "plain"
        shop.send(name, body, MessageGroupId=re.sub(r"[^!-~]", "", group), MessageAttributes=said)
    page.goto(f"/ui/queues/{name}/messages")
    expect(rows(page)).to_have_count(len(HOSTILE))
    for show in page.get_by_role("link", name=re.compile("^Show the body of")).all():
        show.click()
    expect(page.locator("pre.body")).to_have_count(len(HOSTILE))
    shown = page.locator("pre.body").all_inner_texts()
    for body, text in zip(HOSTILE[:-1], shown[:-1], strict=True):
        assert text == body
    assert json.loads(shown[-1]) == json.loads(HOSTILE[-1])
    assert page.locator("main").locator(MADE).count() == 0
    links = [link.get_attribute("href") for link in page.locator("tbody th a").all()]
    for link in links[:5]:
        page.goto(f"{link}?show=auto")
        expect(page.locator("pre.body")).to_be_visible()
        assert page.locator("main").locator(MADE).count() == 0
    assert shop.attributes(name)["ApproximateNumberOfMessages"] == str(len(HOSTILE))


@pytest.mark.parametrize("said", ["text", "hex"])
def test_a_body_of_a_mebibyte_is_shown_by_its_first_part_and_whole_on_demand(page: Page, shop: Shop, said: str) -> None:
    name = shop.queue()
    shop.send(name, "begin " + "x" * ((1 << 20) - 10) + " end")
    page.goto(f"/ui/queues/{name}/messages")
    expect(rows(page)).to_contain_text("1.0 MB")
    page.get_by_role("link", name=re.compile("^Show the body of")).click()
    body = page.locator("pre.body")
    expect(body).to_contain_text("begin xxx")
    assert len(body.inner_text()) < 100_000
    if said == "hex":
        follow(page, "hex")
        expect(body).to_contain_text("62 65 67 69 6e")
        assert len(body.inner_text()) < 100_000
        return
    follow(page, "Show all of it")
    expect(body).to_contain_text(re.compile("x end$"))
    assert len(body.inner_text()) == 1 << 20


def test_a_body_is_downloaded_as_it_is(page: Page, shop: Shop) -> None:
    name, body = shop.queue(), "{broken,\r\n\ttext ü"
    shop.send(name, body)
    page.goto(f"/ui/queues/{name}/messages")
    page.get_by_role("link", name=re.compile("^Show the body of")).click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert download.value.path().read_bytes() == body.encode()


def test_a_filter_finds_by_group_state_and_receives(page: Page, shop: Shop) -> None:
    name = shop.queue(VisibilityTimeout="600")
    shop.send(name, "taken", MessageGroupId="red")
    assert [one["Body"] for one in shop.receive(name)] == ["taken"]
    shop.send(name, "waits", MessageGroupId="blue")
    shop.send(name, "later", DelaySeconds=600)
    page.goto(f"/ui/queues/{name}/messages")
    expect(rows(page)).to_have_count(3)
    for label, value in (("Group", "red"), ("Received at least", "1")):
        field = page.get_by_label(label)
        field.fill(value)
        press(page, "Look")
        expect(rows(page)).to_have_count(1)
        expect(rows(page)).to_contain_text("in flight")
        follow(page, "Clear")
    page.get_by_label("State").select_option("delayed")
    press(page, "Look")
    expect(rows(page)).to_have_count(1)
    expect(page.get_by_label("State")).to_have_value("delayed")
    follow(page, "Clear")
    page.get_by_label("Older than").fill("1h")
    press(page, "Look")
    expect(page.get_by_text("No message fits.")).to_be_visible()


def test_pages_of_messages_follow_each_other_in_both_orders(page: Page, shop: Shop) -> None:
    name = shop.queue()
    for first in range(0, 130, 10):
        entries = [{"Id": str(one), "MessageBody": f"number {one}"} for one in range(first, first + 10)]
        shop.sqs.send_message_batch(QueueUrl=shop.url(name), Entries=entries)
    seen: list[str] = []
    page.goto(f"/ui/queues/{name}/messages")
    while True:
        seen += page.locator("tbody th a").all_inner_texts()
        on = page.locator("a[rel=next]")
        if not on.count():
            break
        on.click()
        expect(page.locator("a[rel=prev]")).to_be_visible()
    assert len(seen) == len(set(seen)) == 130
    page.get_by_label("Order").select_option("newest")
    press(page, "Look")
    expect(page.locator("tbody th a").first).to_have_text(seen[-1])


def test_what_a_consumer_got_meanwhile_is_not_deleted(page: Page, shop: Shop, watch: Watch) -> None:
    watch.refusal(409)
    name = shop.queue(VisibilityTimeout="600")
    shop.send(name, "contested")
    page.goto(f"/ui/queues/{name}/messages")
    rows(page).locator("th a").click()
    assert len(shop.receive(name)) == 1
    page.get_by_text("Delete…").click()
    press(page, "Delete it for good")
    expect(page.locator("main").get_by_role("alert").first).to_contain_text("It was left alone")
    assert shop.attributes(name)["ApproximateNumberOfMessagesNotVisible"] == "1"


def test_thousands_of_dead_letters_go_back_with_progress_and_others_stay(page: Page, shop: Shop) -> None:
    source, dead = shop.with_dead_letters()
    for first in range(0, 2_000, 10):
        said = {"tenant": {"DataType": "String", "StringValue": "blue" if first % 100 else "red"}}
        entries = [
            {"Id": str(one), "MessageBody": f"number {one}", "MessageAttributes": said}
            for one in range(first, first + 10)
        ]
        shop.sqs.send_message_batch(QueueUrl=shop.url(dead), Entries=entries)
    page.goto(f"/ui/queues/{dead}/dead-letters/messages")
    page.get_by_label("Attribute").fill("tenant=blue")
    press(page, "Look")
    page.get_by_label("Which").select_option("all that fit")
    page.locator("select[name=to]").select_option(source)
    press(page, "Redrive…")
    expect(page.locator("main")).to_contain_text(f"{source}: {count(1800)}")
    assert shop.attributes(dead)["ApproximateNumberOfMessages"] == "2000"
    press(page, f"Redrive {count(1800)}")
    expect(told(page)).to_contain_text("It has begun")
    expect(page.locator(".work")).to_contain_text(f"{count(1800)} done")
    expect(page.locator("#live")).to_contain_text("200 messages are here")
    assert shop.attributes(source)["ApproximateNumberOfMessages"] == "1800"
    page.goto("/ui/audit?search=" + dead)
    expect(rows(page).first).to_contain_text("StartMessageMoveTask")


def test_dead_letters_of_the_shop_are_told_apart_by_their_reasons(page: Page, shop: Shop) -> None:
    shop.until(lambda: len(shop.twin("/ui/queues/mails-dead/dead-letters")["groups"]) > 0)
    page.goto("/ui/queues/mails-dead/dead-letters")
    group = rows(page).filter(has_text="no such mailbox: customer")  # the customers' numbers do not tell them apart
    expect(group).to_have_count(1)
    assert number(group.locator("[data-label=Messages]")) >= 1
    group.locator("th a").click()
    expect(rows(page).first).to_contain_text("no such mailbox")
    rows(page).first.get_by_role("link", name=re.compile("^Show the body of")).click()
    expect(page.locator("tr[data-part] ol.attempts").first).to_contain_text("no such mailbox")


def test_a_message_is_found_from_the_overview_by_keys_alone(page: Page, shop: Shop) -> None:
    name = shop.queue()
    shop.send(name, "by keys")
    page.goto("/")
    page.keyboard.press("/")
    page.keyboard.type(name)
    expect(rows(page)).to_have_count(1)
    expect(row(page, name)).to_be_visible()
    page.get_by_role("searchbox").blur()
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Messages", exact=True).press("Enter")
    expect(rows(page)).to_have_count(1)
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    follow(page, "Show the body")
    expect(page.locator("pre.body")).to_have_text("by keys")
