"""A mapping that is stopped, or whose queue, store or target is not what it should be."""

import asyncio
from typing import Any

import pytest

from encola.broker.broker import Broker
from encola.engine.store import StoreError
from encola.mappings.targets.target import Answer, Returned

from .conftest import Build
from .house import FakeTarget, numbered


async def test_a_stop_lets_running_invocations_finish(build: Build) -> None:
    house, target = await build(), FakeTarget(held=True)
    await house.send("a")
    poller = house.poll(target)
    await target.until(lambda: target.running == 1)
    await poller.stop()
    await house.send("b")
    target.go.set()
    await poller.drained()
    assert await house.receives() == {"b": 0}


async def test_what_an_aborted_invocation_held_is_given_back_uncounted(build: Build) -> None:
    house, target = await build(), FakeTarget(held=True)
    await house.send(*numbered(3))
    poller = house.poll(target)
    await target.until(lambda: target.running == 1)
    await poller.stop()
    poller.abort()
    await poller.drained()
    assert await house.receives() == dict.fromkeys(numbered(3), 0)
    assert (await house.counts()).ready == 3


async def test_a_stop_gives_back_what_was_gathered_in_a_window(build: Build) -> None:
    house, target = await build(visibility=600), FakeTarget()
    await house.send("a", "b")
    poller = house.poll(target, batch_size=100, window=300)
    while (await house.counts()).leased < 2:
        await asyncio.sleep(0.001)
    await poller.stop()
    assert await house.receives() == {"a": 0, "b": 0}
    assert target.batches == []


async def test_a_queue_that_is_deleted_and_made_again_is_taken_up_again(build: Build, broker: Broker) -> None:
    house, target = await build(), FakeTarget()
    poller = house.poll(target)
    await house.send("a")
    await house.emptied()
    broker._relaxed = True
    await broker.drop(house.queue)
    while "the queue does not exist" not in poller.status.last_result:
        await asyncio.sleep(0.01)
    house.queue = await broker.create(house.queue.address, ordered=False, settings=house.queue.settings, tags={})
    await house.send("b")
    await house.emptied()
    assert target.bodies == ["a", "b"]


async def test_a_store_that_fails_for_a_while_is_asked_again(
    build: Build, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    house, target = await build(), FakeTarget()
    collect, failed = broker.collect, 0

    async def failing(*arguments: Any, **more: Any) -> Any:
        nonlocal failed
        if failed < 1:
            failed += 1
            raise StoreError("full")
        return await collect(*arguments, **more)

    monkeypatch.setattr(broker, "collect", failing)
    await house.send("a")
    house.poll(target)
    await house.emptied()
    assert failed == 1


async def test_what_was_processed_but_could_not_be_deleted_comes_again(
    build: Build, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    house, target = await build(), FakeTarget()

    async def failing(*arguments: Any) -> Any:
        raise StoreError("full")

    monkeypatch.setattr(broker, "delete", failing)
    await house.send("a")
    poller = house.poll(target)
    await target.until(lambda: len(target.batches) == 1 and not target.running)
    await house.settled()
    while not poller.status.problems:
        await asyncio.sleep(0.001)
    assert "comes again" in poller.status.problems[0].text
    assert (await house.counts()).leased == 1


async def test_a_fault_in_a_target_is_a_failure_and_the_mapping_goes_on(build: Build) -> None:
    def broken(bodies: list[str]) -> Answer:
        if bodies == ["a"]:
            raise RuntimeError("a fault of ours")
        return Returned(b"")

    house, target = await build(), FakeTarget(broken)
    await house.send("a")
    poller = house.poll(target)
    await target.until(lambda: len(target.batches) == 1 and not target.running)
    await house.settled()
    await house.send("b")
    await target.until(lambda: "b" in target.bodies)
    assert poller.status.problems[0].text == "the target failed with RuntimeError"


async def test_a_paused_queue_invokes_nothing_and_goes_on_when_it_is_resumed(broker: Broker, build: Build) -> None:
    house, target = await build(), FakeTarget()
    await broker.pause(house.queue)
    await house.send("a")
    house.poll(target, batch_size=10)
    house.poll(target, batch_size=10, window=1)
    while broker.waiting < 2:
        await asyncio.sleep(0.001)
    assert await house.receives() == {"a": 0}
    await broker.resume(house.queue)
    await target.until(lambda: target.bodies == ["a"])
    await house.emptied()
