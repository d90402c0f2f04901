"""Writes to a history that is slow, broken, or not there."""

import asyncio
import logging
from collections.abc import Mapping, Sequence

import pytest

from encola.engine.history import SECONDS, Documents, Resolution
from encola.engine.message import Instant
from encola.engine.store import StoreError
from encola.metrics import keeper as module
from encola.metrics.keeper import Keeper
from encola.stores.history_memory import MemoryHistory


class Sick(MemoryHistory):
    """Fails as long as there is an ``error``, and waits as long as it is ``stuck``."""

    def __init__(self) -> None:
        super().__init__()
        self.error: str | None = None
        self.free = asyncio.Event()
        self.free.set()
        self.opened = 0

    async def _suffer(self) -> None:
        await self.free.wait()
        if self.error is not None:
            raise StoreError(self.error)

    async def open(self) -> None:
        self.opened += 1
        await self._suffer()

    async def append(self, resolution: Resolution, at: Instant, documents: Mapping[int, bytes]) -> None:
        await self._suffer()
        await super().append(resolution, at, documents)

    async def read(
        self, resolution: Resolution, series: Sequence[int], since: Instant, until: Instant
    ) -> Mapping[int, Documents]:
        await self._suffer()
        return await super().read(resolution, series, since, until)


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "encola.history"]


async def kept(keeper: Keeper) -> list[int]:
    return [at for at, _ in (await keeper.read(SECONDS, [0], 0, 2**60)).get(0, ())]


async def test_a_read_sees_what_was_appended_before_it() -> None:
    history = Sick()
    keeper = Keeper(history)
    await keeper.open()
    history.free.clear()
    for at in (1000, 2000):
        keeper.append(SECONDS, at, {0: b"x"})
    reading = asyncio.create_task(kept(keeper))
    await asyncio.sleep(0)
    history.free.set()
    assert await reading == [1000, 2000]
    await keeper.close(10)


async def test_a_history_that_fails_is_told_once_for_each_cause_and_taken_up_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    history = Sick()
    keeper = Keeper(history)
    history.error = "no room"
    with caplog.at_level(logging.WARNING, "encola.history"):
        await keeper.open()
        for at in range(1000, 5000, 1000):
            keeper.append(SECONDS, at, {0: b"x"})
            assert await kept(keeper) == []
        assert len(told(caplog)) == 1
        history.error = "no disk"
        keeper.append(SECONDS, 5000, {0: b"x"})
        await keeper.flush(10)
        assert len(told(caplog)) == 2
        history.error = None
        keeper.append(SECONDS, 6000, {0: b"x"})
        assert await kept(keeper) == [6000]
        history.error = "no disk"
        keeper.append(SECONDS, 7000, {0: b"x"})
        await keeper.flush(10)
    assert len(told(caplog)) == 3  # it worked meanwhile
    await keeper.close(10)


async def test_of_what_a_slow_history_does_not_take_the_oldest_is_dropped_and_counted(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAITING_MAX", 3)
    monkeypatch.setattr(module, "READ_PATIENCE_SECONDS", 0.0)
    history = Sick()
    keeper = Keeper(history)
    await keeper.open()
    history.free.clear()
    with caplog.at_level(logging.WARNING, "encola.history"):
        keeper.append(SECONDS, 1000, {0: b"x"})
        await asyncio.sleep(0)  # it is under way
        for at in range(2000, 8000, 1000):
            keeper.append(SECONDS, at, {0: b"x"})
    assert keeper.dropped == 3
    assert len(told(caplog)) == 1
    history.free.set()
    await keeper.flush(10)
    assert await kept(keeper) == [1000, 5000, 6000, 7000]
    await keeper.close(10)


async def test_a_history_that_hangs_holds_up_neither_ticks_nor_the_end() -> None:
    history = Sick()
    keeper = Keeper(history)
    await keeper.open()
    history.free.clear()
    keeper.append(SECONDS, 1000, {0: b"x"})
    keeper.append(SECONDS, 2000, {0: b"x"})
    async with asyncio.timeout(60):
        await keeper.close(0.05)
