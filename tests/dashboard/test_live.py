"""Live pages: what changes is told to all who look, once; and nothing is left when they go."""

import asyncio
import http.client
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import pytest

from encola.dashboard import live as module
from encola.dashboard.live import Live, TooManyViewersError, event

from ..process import ServerProcess


async def _next(events: AsyncGenerator[bytes, None]) -> str:
    return (await asyncio.wait_for(anext(events), 10)).decode()


async def test_viewers_of_one_page_share_its_work_and_hear_of_changes_only() -> None:
    live, looks, shown = Live(beat_seconds=0.01), 0, "one"

    async def look() -> dict[str, str]:
        nonlocal looks
        looks += 1
        return {"page": shown}

    async with aclosing(live.subscribe("key", look)) as first, aclosing(live.subscribe("key", look)) as second:
        for events in (first, second):
            assert (await _next(events)).startswith("retry:")
            assert await _next(events) == "event: page\ndata: one\n\n"
        before = looks
        while looks < before + 5:
            await asyncio.sleep(0.01)
        shown = "two"
        assert await _next(first) == await _next(second) == "event: page\ndata: two\n\n"
        async with aclosing(live.subscribe("key", look)) as third:  # who comes later is told what there is
            await _next(third)
            assert await _next(third) == "event: page\ndata: two\n\n"
    assert live.viewers == 0
    while live._topics:
        await asyncio.sleep(0.01)
    await live.close()


async def test_who_comes_is_shown_what_there_is_and_not_what_was_seen_last() -> None:
    """He acted, and is back on the page before its next beat: his act must not seem undone."""
    live, shown = Live(beat_seconds=3600), "before"

    async def look() -> dict[str, str]:
        return {"page": shown}

    async with aclosing(live.subscribe("key", look)) as events:
        await _next(events)
        assert await _next(events) == "event: page\ndata: before\n\n"
    shown = "after"
    async with aclosing(live.subscribe("key", look)) as events:
        await _next(events)
        assert await _next(events) == "event: page\ndata: after\n\n"
    await live.close()


async def test_a_page_that_fails_for_a_while_comes_back() -> None:
    live, fails = Live(beat_seconds=0.01), True

    async def look() -> dict[str, str]:
        if fails:
            raise ZeroDivisionError
        return {"page": "back"}

    async with aclosing(live.subscribe("key", look)) as events:
        await _next(events)
        assert await _next(events) == "event: gone\ndata: \n\n"
        fails = False
        assert await _next(events) == "event: page\ndata: back\n\n"
    await live.close()


async def test_the_end_of_the_server_ends_all_streams_and_a_crowd_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "VIEWERS_MAX", 1)

    async def look() -> dict[str, str]:
        return {}

    live = Live()
    live.subscribe("unread", look)  # whoever is never asked for an event takes no place
    events = live.subscribe("key", look)
    await _next(events)
    with pytest.raises(TooManyViewersError):
        live.subscribe("other", look)
    await live.close()
    with pytest.raises(StopAsyncIteration):
        await _next(events)
    with pytest.raises(TooManyViewersError):
        live.subscribe("key", look)


def test_every_line_of_the_data_has_a_field_of_its_own() -> None:
    assert event("page", "a\r\nb\rc\n") == "event: page\ndata: a\ndata: b\ndata: c\ndata: \n\n"


def test_an_open_page_hears_of_messages_that_come(server: ServerProcess, sqs: Any, name: str) -> None:
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.request("GET", f"/ui/queues/{name}?format=events")
    response = connection.getresponse()
    assert response.headers["Content-Type"] == "text/event-stream"
    sqs.send_message_batch(QueueUrl=url, Entries=[{"Id": str(n), "MessageBody": "x"} for n in range(9)])
    series: dict[str, Any] = {}
    waiting = ""
    while not (">9<" in waiting and 9 in series.get("values", {}).get("visible", ())):
        line = response.readline().decode()
        assert line, "the stream ended"
        if "Waiting" in line and "<dd>" in line:
            waiting = line
        elif line.startswith('data: {"x"'):
            series = json.loads(line.removeprefix("data: "))
    assert len(series["x"]) <= 7
    connection.close()
