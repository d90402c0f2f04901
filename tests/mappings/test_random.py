"""A function that does anything: whatever it does, order holds, nothing is lost, and refusals cost no receives."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from encola.broker.broker import Broker
from encola.mappings import scaling
from encola.mappings.targets.target import Answer, Failed, Refused, Returned
from encola.stores.memory import MemoryStore

from ..broker.conftest import TestClock
from .house import FakeTarget, House

GROUPS, EACH = "abc", 12
SECONDS_MAX = 20.0
LOOP_TURNS = 30


@pytest.fixture
async def house(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> AsyncIterator[House]:
    monkeypatch.setattr(scaling, "PAUSE_SECONDS_MIN", 0.001)
    monkeypatch.setattr(scaling, "PAUSE_SECONDS_MAX", 0.002)
    store, clock = MemoryStore(), TestClock()
    await store.open()
    broker = Broker(store, clock)
    await broker.open()
    house = await House.build(broker, ordered=request.param)
    yield house
    await house.close()
    await broker.close()
    await store.close()


class Anything:
    """Answers by lot, and keeps the books: what was done when, and how often a receive was to count."""

    def __init__(self, seed: int) -> None:
        self._lot = random.Random(seed)
        self.done: list[str] = []
        self.tries: dict[str, int] = {}
        self.target = FakeTarget(self.answer)

    def answer(self, bodies: list[str]) -> Answer:
        records = self.target.events[-1]["Records"]
        for record in records:
            counted = int(record["attributes"]["ApproximateReceiveCount"])
            assert counted == self.tries.get(record["body"], 0) + 1, record["body"]
        what = self._lot.random()
        if what < 0.25:
            return Refused("by lot", throttled=what < 0.1)
        if what < 0.4:
            self._count(bodies)
            return Failed("by lot")
        if what < 0.6:
            at = self._lot.randrange(len(records))
            return self._partial(records, at)
        self._count(bodies)
        self.done += bodies
        return Returned(b"")

    def _partial(self, records: list[Any], at: int) -> Answer:
        """One failed; what follows it in its group is not touched, but the function does not say so."""
        group = records[at]["attributes"].get("MessageGroupId", "")
        for place, record in enumerate(records):
            held = group and place > at and record["attributes"]["MessageGroupId"] == group
            if not held:
                self._count([record["body"]])
            if not held and place != at:
                self.done.append(record["body"])
        return Returned(json.dumps({"batchItemFailures": [{"itemIdentifier": records[at]["messageId"]}]}).encode())

    def _count(self, bodies: list[str]) -> None:
        for body in bodies:
            self.tries[body] = self.tries.get(body, 0) + 1


async def run(house: House, anything: Anything) -> None:
    """Until the queue is empty; when nothing happens any more, time goes on to the end of the leases."""
    poller = house.poll(anything.target, batch_size=5, reports_failures=True, maximum_concurrency=2)
    async with asyncio.timeout(SECONDS_MAX):
        while (counts := await house.counts()).total:
            calls = len(anything.target.batches)
            await asyncio.sleep(0.005)
            for _ in range(LOOP_TURNS):  # what was taken is handed over by now
                await asyncio.sleep(0)
            await poller.drained()
            if counts.leased and calls == len(anything.target.batches):
                clock: Any = house.broker.clock
                clock.turn(31_000)
                house.broker._receiving.waiters.wake_all(house.queue.id)


@pytest.mark.parametrize("house", [True], indirect=True)
@pytest.mark.parametrize("seed", range(8))
async def test_groups_stay_in_order_whatever_a_function_does(house: House, seed: int) -> None:
    anything = Anything(seed)
    for number in range(EACH):
        for group in GROUPS:
            await house.send(f"{group}{number:02}", group=group)
    await run(house, anything)
    for group in GROUPS:
        assert [body for body in anything.done if body[0] == group] == [f"{group}{n:02}" for n in range(EACH)]


@pytest.mark.parametrize("house", [False], indirect=True)
@pytest.mark.parametrize("seed", range(4))
async def test_every_message_is_done_once_whatever_a_function_does(house: House, seed: int) -> None:
    anything = Anything(seed)
    bodies = [f"m{number:02}" for number in range(30)]
    await house.send(*bodies)
    await run(house, anything)
    assert sorted(anything.done) == bodies
