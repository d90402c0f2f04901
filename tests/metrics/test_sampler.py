"""What a tick sees of queues and of the server."""

import asyncio
import logging
from collections.abc import Mapping, Sequence

import pytest

from encola.engine.history import MINUTES, SECONDS, SERVER
from encola.engine.message import Counts, Instant, QueueId
from encola.engine.metrics import Backlog, Gauge
from encola.engine.queue import MINUTE, SECOND, DeadLetterRule
from encola.engine.store import StoreError
from encola.metrics.sampler import LOOK_PAUSES

from .conftest import ACCOUNT, START, Watch


async def test_a_queue_is_seen_as_it_stands(watch: Watch) -> None:
    queue = await watch.queue()
    watch.consumers = {(ACCOUNT, "work"): (2, 3), (ACCOUNT, "nowhere"): (9, 9)}
    await watch.send(queue, 4)
    watch.clock.at += 2000
    await watch.broker.receive(queue, limit=1)
    await watch.pass_seconds()
    seen = watch.sampler.latest[queue.id]
    assert seen.backlog.counts == Counts(ready=3, leased=1)
    assert (seen.age, seen.age_new, seen.age_retrying) == (3.0, 3.0, 0.0)
    assert (seen.busy, seen.idle, seen.parked) == (2, 3, 0)
    assert (seen.tally.sent, seen.tally.received) == (4, 1)
    assert list(watch.sampler.latest) == [queue.id]


async def test_a_point_says_what_happened_in_its_second(watch: Watch) -> None:
    queue = await watch.queue()
    await watch.pass_seconds()
    await watch.send(queue, 2, b"12")
    await watch.send(queue, 1, b"1234567")
    await watch.broker.delete(queue, [one.receipt for one in await watch.broker.receive(queue, limit=1)])
    await watch.broker.receive(await watch.queue("other"), limit=1)
    await watch.pass_seconds(2)
    quiet, busy, after = await watch.sampler.series(queue.id, START, START + MINUTE, SECOND)
    assert [point.at for point in (quiet, busy, after)] == [START, START + 1000, START + 2000]
    assert (busy.sent, busy.sent_bytes, busy.size_min, busy.size_max) == (3, 11, 2, 7)
    assert (busy.received, busy.deleted, busy.empty_receives) == (1, 1, 0)
    assert busy.visible == after.visible == Gauge.of(2)
    assert (quiet.samples, quiet.sent, quiet.visible, after.sent) == (1, 0, Gauge(), 0)


async def test_rates_are_those_of_the_last_minute(watch: Watch) -> None:
    dead = await watch.queue("dead")
    queue = await watch.queue(dead_letter=DeadLetterRule(dead.address, 1))
    await watch.pass_seconds()
    for _ in range(60):
        await watch.send(queue, 3)
        deliveries = await watch.broker.receive(queue, limit=2)
        await watch.broker.delete(queue, [deliveries[0].receipt])
        await watch.broker.reject(queue, [(deliveries[1].receipt, {})])
        await watch.pass_seconds()
    seen = watch.sampler.latest[queue.id]
    assert (seen.arrival_rate, seen.service_rate, seen.dead_letter_rate) == (3.0, 1.0, 1.0)
    assert seen.drain_seconds is None
    for delivery in await watch.broker.receive(queue, limit=50):
        await watch.broker.delete(queue, [delivery.receipt])
    await watch.pass_seconds(30)
    seen = watch.sampler.latest[queue.id]
    assert (seen.arrival_rate, seen.service_rate, seen.dead_letter_rate) == (1.5, (30 + 50) / 60, 0.5)
    await watch.pass_seconds(31)
    seen = watch.sampler.latest[queue.id]
    assert (seen.arrival_rate, seen.service_rate, seen.dead_letter_rate) == (0.0, 0.0, 0.0)
    await watch.send(queue, 6)
    await watch.pass_seconds()
    assert watch.sampler.latest[queue.id].arrival_rate == 0.1


async def test_the_time_to_drain_follows_from_the_rates(watch: Watch) -> None:
    queue = await watch.queue()
    await watch.send(queue, 50)
    await watch.pass_seconds(70)
    for _ in range(10):
        deliveries = await watch.broker.receive(queue, limit=2)
        await watch.broker.delete(queue, [one.receipt for one in deliveries])
        await watch.pass_seconds()
    assert watch.sampler.latest[queue.id].drain_seconds == pytest.approx(30 / (20 / 60))


async def test_a_late_tick_counts_everything_once(watch: Watch) -> None:
    queue = await watch.queue()
    await watch.send(queue, 2)
    await watch.pass_seconds()
    await watch.send(queue, 3)
    watch.clock.at += 7_300
    await watch.sampler.tick()
    await watch.sampler.tick()
    watch.clock.at -= 5_000  # nothing that a clock of ours does
    await watch.send(queue, 4)
    await watch.sampler.tick()
    watch.clock.at += 5_700
    await watch.sampler.tick()
    points = await watch.sampler.series(queue.id, START, START + MINUTE, SECOND)
    assert [(point.at - START, point.sent) for point in points] == [(0, 2), (7000, 3), (8000, 4)]


async def test_a_deleted_queue_is_forgotten_with_its_history(watch: Watch) -> None:
    queue = await watch.queue()
    await watch.send(queue)
    await watch.pass_seconds()
    assert await watch.sampler.series(queue.id, START, START + MINUTE, SECOND)
    await watch.broker.drop(queue)
    await watch.pass_seconds()
    assert watch.sampler.latest == {}
    assert await watch.sampler.series(queue.id, START, START + MINUTE, SECOND) == []
    await watch.sampler.flush()
    history = watch.history()
    await history.open()
    assert list(await history.read(SECONDS, [SERVER, queue.id], 0, START + MINUTE)) == [SERVER]
    await history.close()


async def test_a_quiet_queue_leaves_no_trace_and_the_server_always_does(watch: Watch) -> None:
    queue = await watch.queue()
    await watch.pass_seconds(61)
    await watch.sampler.flush()
    history = watch.history()
    await history.open()
    assert {s: len(d) for s, d in (await history.read(SECONDS, [SERVER, queue.id], 0, 2**60)).items()} == {SERVER: 61}
    assert {s: len(d) for s, d in (await history.read(MINUTES, [SERVER, queue.id], 0, 2**60)).items()} == {SERVER: 1}
    await history.close()


async def test_the_server_is_seen_with_its_commits_and_connections(watch: Watch) -> None:
    queue = await watch.queue()
    await watch.pass_seconds()
    commits = watch.sampler.server.vitals.commits
    for _ in range(6):
        await watch.send(queue)
    poll = asyncio.create_task(watch.broker.receive(await watch.queue("empty"), limit=1, wait=60_000))
    while not watch.broker.waiting:
        await asyncio.sleep(0)
    await watch.pass_seconds()
    server = watch.sampler.server
    assert server.vitals.commits - commits >= 7
    assert (server.connections, server.parked, server.queues, server.ticks) == (7, 1, 2, 2)
    assert server.commit_rate > 0
    assert server.tick_seconds_total >= server.tick_seconds > 0
    first, second = await watch.sampler.server_series(START, START + MINUTE, SECOND)
    assert (first.at, second.at, second.commits) == (START, START + SECOND, server.vitals.commits - commits)
    assert (second.connections, second.parked) == (Gauge.of(7), Gauge.of(1))
    assert watch.sampler.latest[watch.broker.queues()[0].id].parked == 1
    watch.broker.stop_waiting()
    await poll


class Slow:
    """A store whose looks take what the test says."""

    def __init__(self, watch: Watch) -> None:
        self.asked: list[Sequence[QueueId]] = []
        self.seconds: dict[QueueId, float] = {}
        self.error: Exception | None = None
        watch.store.backlogs = self.backlogs  # type: ignore[method-assign]

    async def backlogs(self, queues: Sequence[QueueId], now: Instant) -> Mapping[QueueId, Backlog]:
        self.asked.append(queues)
        if self.error is not None:
            raise self.error
        return {queue: Backlog(Counts(1), seconds=self.seconds.get(queue, 0.0)) for queue in queues}


async def test_what_is_dear_to_look_at_is_looked_at_less_often(watch: Watch) -> None:
    dear, cheap = await watch.queue("dear"), await watch.queue("cheap")
    slow = Slow(watch)
    slow.seconds = {dear.id: 0.1}
    await watch.pass_seconds(2 * int(0.1 * LOOK_PAUSES) + 1)
    assert [list(asked) for asked in slow.asked] == [
        [dear.id, cheap.id] if number % 5 == 0 else [cheap.id] for number in range(11)
    ]
    assert watch.sampler.latest[dear.id].backlog.counts == Counts(1)


async def test_many_cheap_looks_are_dear_together(watch: Watch) -> None:
    queues = [await watch.queue(str(number)) for number in range(10)]
    slow = Slow(watch)
    slow.seconds = {queue.id: 0.01 for queue in queues}
    await watch.pass_seconds(11)
    assert len(slow.asked) == 3


@pytest.mark.parametrize("error", [StoreError("no"), RuntimeError("a bug")])
async def test_looks_that_fail_are_told_once_and_the_last_ones_stand(
    watch: Watch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    queue = await watch.queue()
    slow = Slow(watch)
    await watch.pass_seconds()
    slow.error = error
    with caplog.at_level(logging.ERROR, "encola.metrics"):
        await watch.pass_seconds(3)
    assert len([one for one in caplog.records if one.name == "encola.metrics"]) == 1
    assert watch.sampler.server.ticks == 4
    assert watch.sampler.latest[queue.id].backlog.counts == Counts(1)


async def test_a_sampler_goes_on_after_a_tick_that_failed(watch: Watch, caplog: pytest.LogCaptureFixture) -> None:
    """A run sleeps until the next second of its clock, which each question for consumers turns here."""
    failed = asyncio.Event()

    def consumers() -> Mapping[tuple[str, str], tuple[int, int]]:
        watch.clock.at += 1000
        if not failed.is_set():
            failed.set()
            raise RuntimeError("nobody knows")
        return {}

    watch.sampler._consumers = consumers
    watch.clock.at += 999
    with caplog.at_level(logging.ERROR, "encola.metrics"):
        await watch.sampler.open()
        while not watch.sampler.server.ticks:
            await asyncio.sleep(0.01)
    assert "nobody knows" in caplog.text
