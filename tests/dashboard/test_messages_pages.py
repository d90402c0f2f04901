"""The pages of a queue's messages, over HTTP: browsing both ways, filters, bodies, one message, deleting it."""

import json
import re
import time
from typing import Any

import pytest

from .web import Web


def _queue(sqs: Any, name: str, **attributes: str) -> str:
    url: str = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    return url


def _send(sqs: Any, url: str, bodies: list[str], **more: Any) -> None:
    for start in range(0, len(bodies), 10):
        batch = bodies[start : start + 10]
        entries = [{"Id": str(index), "MessageBody": body, **more} for index, body in enumerate(batch)]
        assert "Failed" not in sqs.send_message_batch(QueueUrl=url, Entries=entries)


def _twin(web: Web, name: str, query: str = "") -> Any:
    return web.twin(f"/ui/queues/{name}/messages?{query}")


def _ids(twin: Any) -> list[int]:
    return [row["id"] for row in twin["rows"]]


def _mark(web: Web, path: str) -> str:
    found = re.search(r'name="mark" value="([^"]+)"', web.get(path).text)
    assert found
    return found[1]


@pytest.mark.parametrize("order", ["oldest", "newest"])
def test_all_messages_are_seen_page_by_page_there_and_back(web: Web, sqs: Any, name: str, order: str) -> None:
    url = _queue(sqs, name)
    _send(sqs, url, [str(number) for number in range(120)])
    pages, twin = [], _twin(web, name, f"order={order}")
    assert twin["previous_before"] is None
    pages.append(_ids(twin))
    while twin["next_after"] is not None:
        twin = _twin(web, name, f"order={order}&after={twin['next_after']}")
        pages.append(_ids(twin))
    assert [len(page) for page in pages] == [50, 50, 20]
    seen = [one for page in pages for one in page]
    assert seen == sorted(seen, reverse=order == "newest")
    assert len(set(seen)) == 120
    back = []
    while twin["previous_before"] is not None:
        twin = _twin(web, name, f"order={order}&before={twin['previous_before']}")
        back.append(_ids(twin))
    assert back == [pages[1], pages[0]]
    again = _twin(web, name, f"order={order}&after={twin['next_after']}")
    assert _ids(again) == pages[1]


@pytest.mark.parametrize("order", ["oldest", "newest"])
def test_what_fits_is_found_page_by_page_there_and_back(web: Web, sqs: Any, name: str, order: str) -> None:
    url = _queue(sqs, name)
    _send(sqs, url, [f"{'Wanted' if number % 2 else 'other'} {number}" for number in range(240)])
    query = f"text=wanted&order={order}"
    first = _twin(web, name, query)
    second = _twin(web, name, f"{query}&after={first['next_after']}")
    third = _twin(web, name, f"{query}&after={second['next_after']}")
    assert [len(one["rows"]) for one in (first, second, third)] == [50, 50, 20]
    assert (third["stop"], third["next_after"]) == ("end", None)
    back = _twin(web, name, f"{query}&before={third['previous_before']}")
    assert _ids(back) == _ids(second)
    assert _ids(_twin(web, name, f"{query}&before={back['previous_before']}")) == _ids(first)
    assert "Looked at" in web.get(f"/ui/queues/{name}/messages?{query}").words


def test_one_can_begin_at_a_time(web: Web, sqs: Any, name: str) -> None:
    url = _queue(sqs, name)
    _send(sqs, url, ["early"] * 3)
    time.sleep(0.02)  # so that the clock has gone on
    between = int(time.time() * 1000)
    time.sleep(0.02)
    _send(sqs, url, ["late"] * 2)
    rows = _twin(web, name)["rows"]
    assert [row["sent_at"] > between for row in rows] == [False] * 3 + [True] * 2
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(between / 1000)) + f".{between % 1000:03d}"
    assert _ids(_twin(web, name, f"from={moment}")) == [row["id"] for row in rows[3:]]
    assert _ids(_twin(web, name, f"from={moment}&order=newest")) == [row["id"] for row in rows[2::-1]]
    assert len(_twin(web, name, "from=1h")["rows"]) == 5


def test_a_filter_with_a_mistake_is_shown_with_what_is_wrong(web: Web, sqs: Any, name: str) -> None:
    _queue(sqs, name)
    for query in ("older=soon", "from=%22%3E%3Cscript%3E"):
        answer = web.get(f"/ui/queues/{name}/messages?{query}")
        assert answer.status == 400
        assert "give it like" in answer.words
        assert "<script>" not in answer.text.replace("<script defer", "").replace("<script src", "")


def test_states_are_told_and_looking_changes_nothing(web: Web, sqs: Any, name: str) -> None:
    url = _queue(sqs, name)
    _send(sqs, url, ["one"])
    sqs.receive_message(QueueUrl=url, VisibilityTimeout=600)
    _send(sqs, url, ["two"], DelaySeconds=600)
    _send(sqs, url, ["three"], MessageAttributes={"tenant": {"DataType": "String", "StringValue": "blue"}})
    assert [(row["state"], row["receives"]) for row in _twin(web, name)["rows"]] == [
        ("in flight", 1),
        ("delayed", 0),
        ("waiting", 0),
    ]
    assert [len(_twin(web, name, f"state={one}")["rows"]) for one in ("waiting", "flight", "delayed")] == [1, 1, 1]
    assert len(_twin(web, name, "attribute=tenant%3Dblue")["rows"]) == 1
    assert sqs.receive_message(QueueUrl=url)["Messages"][0]["Body"] == "three"


def test_a_body_is_hidden_until_it_is_asked_for(web: Web, sqs: Any, name: str) -> None:
    url = _queue(sqs, name)
    _send(sqs, url, ['{"secret": "of the <b>message</b>"}'])
    (number,) = _ids(_twin(web, name))
    for path in (f"/ui/queues/{name}/messages", f"/ui/queues/{name}/messages/{number}"):
        assert "secret" not in web.get(path).text
        assert "secret" not in json.dumps(web.twin(path))
    page = f"/ui/queues/{name}/messages/{number}"
    assert web.twin(f"{page}?show=auto")["body"]["text"] == '{\n  "secret": "of the <b>message</b>"\n}'
    fragment = web.get(f"{page}/body").text
    assert "&lt;b&gt;message&lt;/b&gt;" in fragment
    assert "<html" not in fragment
    assert "7b 22 73" in web.get(f"{page}?show=hex").text


def test_no_page_shows_a_receipt(web: Web, sqs: Any, name: str) -> None:
    url = _queue(sqs, name)
    _send(sqs, url, ["one"])
    handle = sqs.receive_message(QueueUrl=url, VisibilityTimeout=60)["Messages"][0]["ReceiptHandle"]
    (number,) = _ids(_twin(web, name))
    page = f"/ui/queues/{name}/messages/{number}"
    assert handle not in web.get(f"{page}?show=auto").text + json.dumps(web.twin(page))
    assert "lease" not in web.twin(page)["row"]


def test_a_script_in_a_message_is_text_wherever_it_is_shown(web: Web, sqs: Any, name: str) -> None:
    url = _queue(sqs, name)
    evil = "<script>alert(1)</script><img src=x onerror=alert(2)>"
    _send(sqs, url, [evil], MessageAttributes={"evil": {"DataType": "String", "StringValue": evil}})
    (number,) = _ids(_twin(web, name))
    for path in (f"messages/{number}?show=auto", f"messages/{number}/body", f"messages/{number}/edit", "messages"):
        text = web.get(f"/ui/queues/{name}/{path}").text
        assert "alert(1)" not in text.replace("&lt;script&gt;alert(1)", "")
        assert "<img src=x" not in text


def test_a_megabyte_is_shown_in_part_and_downloaded_whole(web: Web, sqs: Any, name: str) -> None:
    url = _queue(sqs, name)
    body = "é<b>" * 200_000
    _send(sqs, url, [body])
    (number,) = _ids(_twin(web, name))
    page = f"/ui/queues/{name}/messages/{number}"
    first = web.get(f"{page}?show=auto")
    assert len(first.body) < 300_000
    assert "its first part" in first.words
    assert web.twin(f"{page}?show=text&all=1")["body"] == {
        "size": 1_000_000,
        "show": "text",
        "natural": "text",
        "text": body,
        "whole": True,
    }
    file = web.get(f"{page}/download")
    assert file.body.decode() == body
    assert file.headers["content-type"] == "text/plain; charset=utf-8"
    assert file.headers["content-disposition"].startswith('attachment; filename="')
    assert file.headers["x-content-type-options"] == "nosniff"


def test_a_message_is_deleted_by_hand_and_the_log_says_so(web: Web, sqs: Any, name: str) -> None:
    url = _queue(sqs, name)
    _send(sqs, url, ["one", "two"])
    first, second = _ids(_twin(web, name))
    page = f"/ui/queues/{name}/messages/{first}"
    answer = web.post(page, {"mark": _mark(web, page)})
    assert "Deleted" in answer.words
    assert _ids(_twin(web, name)) == [second]
    assert web.get(page).status == 404
    entry = web.twin("/ui/audit")["entries"][0]
    assert (entry["what"], entry["on"], entry["outcome"]) == ("DeleteMessage", name, "done")


def test_a_message_that_a_consumer_got_meanwhile_is_left_alone(web: Web, sqs: Any, name: str) -> None:
    url = _queue(sqs, name)
    _send(sqs, url, ["one"])
    (number,) = _ids(_twin(web, name))
    page = f"/ui/queues/{name}/messages/{number}"
    before = _mark(web, page)
    sqs.receive_message(QueueUrl=url, VisibilityTimeout=600)
    stale = web.post(page, {"mark": before})
    assert (stale.status, "received meanwhile" in stale.words) == (409, True)
    held = web.post(page, {"mark": _mark(web, page)})
    assert (held.status, "held by a consumer" in held.words) == (409, True)
    for nonsense in ("", "x", f"{number}-", f"{number + 1}-00", "9" * 40):
        assert web.post(page, {"mark": nonsense}).status in (400, 409)
    assert _ids(_twin(web, name)) == [number]


def test_a_message_that_was_moved_to_the_dead_letters_is_found_there(web: Web, sqs: Any, name: str) -> None:
    _queue(sqs, f"{name}-dead")
    arn = f"arn:aws:sqs:us-east-1:{_queue(sqs, f'{name}-x').split('/')[-2]}:{name}-dead"
    url = _queue(sqs, name, RedrivePolicy=json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": "1"}))
    _send(sqs, url, ["one"])
    (number,) = _ids(_twin(web, name))
    sqs.receive_message(QueueUrl=url, VisibilityTimeout=0)
    sqs.receive_message(QueueUrl=url)
    answer = web.get(f"/ui/queues/{name}/messages/{number}")
    assert (answer.status, f"It is on {name}-dead now" in answer.words) == (404, True)
    assert web.twin(f"/ui/queues/{name}-dead/messages/{number}")["row"]["why"]["source"] == name


@pytest.mark.parametrize("number", ["0", "x", "-1", "9" * 30, "%00", "1/2", "%2e%2e"])
def test_a_number_of_no_message_is_not_found(web: Web, sqs: Any, name: str, number: str) -> None:
    _queue(sqs, name)
    assert web.get(f"/ui/queues/{name}/messages/{number}").status == 404
