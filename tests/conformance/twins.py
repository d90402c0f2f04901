"""The memory store and the sqlite store, side by side, asked the same and compared.

Their message ids differ (a durable store leaves gaps when it opens), so messages go by their *label* here: the
``message_id`` of their envelope, which the twins' users make unique. ``Twins`` translates labels to each store's ids,
sends the calls, and translates the answers back.

What a store may do as it likes is left out of the comparison: when exactly a message that is past its retention, and
not leased, is removed.
"""

import asyncio
import shutil
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from encola.engine.changes import Applied, Change, Claim, Stored
from encola.engine.lifecycle import State, state_of
from encola.engine.message import Counts, Delivery, Instant, MessageId, Peek, QueueId
from encola.engine.records import Job, JobSearch
from encola.engine.store import Store
from encola.stores.memory import MemoryStore
from encola.stores.sqlite import SqliteStore, check

Call = list[Any] | Claim
"""A list of changes to apply, in which ``message`` fields hold labels, or a claim."""


SEARCHES = (
    JobSearch(prefix="k", task="t"),
    JobSearch(states=("running", "failed"), queue="q", limit=1),
    JobSearch(limit=2),
)


class Twin:
    """One of the two stores, with its ids by label."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._id_of: dict[str, MessageId] = {}
        self._last_put = 0

    def localize(self, call: Call) -> Any:
        if isinstance(call, Claim):
            return call
        return [
            msgspec.structs.replace(change, message=self._id_of.get(change.message, 999_999_999))
            if hasattr(change, "message")
            else change
            for change in call
        ]

    async def send(self, call: Any) -> Any:
        if isinstance(call, Claim):
            return [self._delivery(delivery) for delivery in await self.store.claim(call)]
        return [self._applied(change, applied) for change, applied in zip(call, await self._apply(call), strict=True)]

    async def _apply(self, call: list[Change]) -> Sequence[Applied]:
        return await self.store.apply(call)

    def _applied(self, change: Change, applied: Applied) -> Any:
        if not isinstance(applied, Stored):
            return applied
        if not applied.duplicate:
            assert applied.message > self._last_put, "an id was used again"
            self._last_put = applied.message
        self._learn(applied.message_id, applied.message)
        return ("stored", applied.message_id, applied.duplicate)

    def _delivery(self, delivery: Delivery) -> Any:
        self._learn(delivery.envelope.message_id, delivery.id)
        return msgspec.structs.asdict(delivery) | {"id": delivery.envelope.message_id}

    def _learn(self, label: str, message: MessageId) -> None:
        assert self._id_of.setdefault(label, message) == message, "a message changed its id"

    async def peeks(self, queue: QueueId) -> list[Peek]:
        peeks = list(await self.store.browse(queue, None, 10_000))
        assert [peek.state.id for peek in peeks] == sorted(peek.state.id for peek in peeks)
        for peek in peeks:
            self._learn(peek.envelope.message_id, peek.state.id)
        return peeks


class Twins:
    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lives = 0
        self._loop = asyncio.new_event_loop()
        self.memory = Twin(MemoryStore())
        self.sqlite = Twin(SqliteStore(self._data))
        self.run(self.sqlite.store.open())

    @property
    def _data(self) -> Path:
        return self._directory / f"life-{self._lives}"

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self._loop.run_until_complete(coroutine)

    def send(self, *calls: Call) -> list[Any]:
        """All calls at once, so that they share a commit. Answers both stores' one answer, by label."""

        async def all_of(twin: Twin) -> list[Any]:
            return await asyncio.gather(*(twin.send(twin.localize(call)) for call in calls))

        expected, answered = self.run(all_of(self.memory)), self.run(all_of(self.sqlite))
        assert answered == expected
        return expected  # type: ignore[no-any-return]

    def sweep(self, change: Change) -> None:
        """The stores may sweep at their own pace: their answers are not compared."""
        for twin in (self.memory, self.sqlite):
            self.run(twin.store.apply([change]))

    def reopen(self) -> None:
        self.run(self.sqlite.store.close())
        self._open()

    def kill(self) -> None:
        """As if the process died: what is in the files right now starts the next life; the old one is closed after."""
        old, store = self._data, self.sqlite.store
        self._lives += 1
        shutil.copytree(old, self._data, ignore=shutil.ignore_patterns("*-shm"))
        self.run(store.close())
        shutil.rmtree(old)
        self._open()

    def _open(self) -> None:
        self.sqlite.store = SqliteStore(self._data)
        self.run(self.sqlite.store.open())

    def compare(self, retentions: Mapping[QueueId, int], now: Instant) -> None:
        """Whatever can be asked of both must be answered alike."""
        self.run(self._compare_catalogs())
        for queue, retention in retentions.items():
            self.run(self._compare_queue(queue, now - retention, now))

    def compare_jobs(self, accounts: Sequence[str], now: Instant) -> None:
        for account in accounts:
            for search in SEARCHES:
                expected = self.run(_all_found(self.memory.store, account, search, now))
                assert self.run(_all_found(self.sqlite.store, account, search, now)) == expected
            keys = [job.key for job in expected]
            assert list(self.run(self.sqlite.store.jobs(account, keys, now))) == expected

    async def _compare_catalogs(self) -> None:
        expected, answered = await self.memory.store.catalog(), await self.sqlite.store.catalog()
        assert sorted(answered.queues, key=lambda queue: queue.id) == sorted(expected.queues, key=lambda q: q.id)
        assert (answered.notes, answered.last_instant) == (expected.notes, expected.last_instant)

    async def _compare_queue(self, queue: QueueId, sent_after: Instant, now: Instant) -> None:
        def visible(peek: Peek) -> bool:
            return peek.state.sent_at >= sent_after or peek.state.ready_at > now

        expected, answered = await self.memory.peeks(queue), await self.sqlite.peeks(queue)
        assert _by_label(answered, visible) == _by_label(expected, visible)
        for twin, peeks in ((self.memory, expected), (self.sqlite, answered)):
            await _compare_looks(twin.store, queue, peeks)
            states = [state_of(peek.state, now) for peek in peeks]
            counts = (await twin.store.counts([queue], now)).get(queue, Counts())
            assert counts == Counts(*(states.count(state) for state in (State.READY, State.LEASED, State.DELAYED)))
            leased = [peek.envelope.group for peek, state in zip(peeks, states, strict=True) if state is State.LEASED]
            by_group = dict(await twin.store.leased_by_group(queue, now))
            assert by_group == {group: leased.count(group) for group in leased}
        if all(map(visible, expected)) and all(map(visible, answered)):
            next_ready = await self.memory.store.next_ready(queue, now)
            assert await self.sqlite.store.next_ready(queue, now) == next_ready

    def close(self) -> None:
        try:
            self.run(self.sqlite.store.close())
            assert check(self._data) == []
        finally:
            self._loop.close()
            shutil.rmtree(self._directory)


async def _compare_looks(store: Store, queue: QueueId, peeks: list[Peek]) -> None:
    """All ways to look at messages show the same."""
    assert list(await store.browse(queue, None, 10_000, newest_first=True)) == peeks[::-1]
    ids = [peek.state.id for peek in peeks]
    assert list(await store.peek(queue, ids)) == peeks
    if middle := ids[len(ids) // 2 :][:1]:
        place = len(ids) // 2
        assert list(await store.browse(queue, middle[0], 2)) == peeks[place + 1 : place + 3]
        assert list(await store.browse(queue, middle[0], 2, newest_first=True)) == peeks[:place][::-1][:2]


async def _all_found(store: Store, account: str, search: JobSearch, now: Instant) -> list[Job]:
    found = await store.find_jobs(account, search, now)
    jobs = found.jobs
    while found.next is not None:
        found = await store.find_jobs(account, msgspec.structs.replace(search, before=found.next), now)
        jobs += found.jobs
    return jobs


def _by_label(peeks: list[Peek], visible: Callable[[Peek], bool]) -> list[Any]:
    return [
        (peek.envelope, peek.body, msgspec.structs.replace(peek.state, id=MessageId(0)))
        for peek in peeks
        if visible(peek)
    ]
