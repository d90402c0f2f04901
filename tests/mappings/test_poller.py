"""A mapping at work: batches, concurrency, and what becomes of messages when a function returns, fails or refuses."""

import asyncio
import json
from typing import Any

import pytest

from encola.broker.broker import Broker
from encola.engine.queue import Address, DeadLetterRule
from encola.mappings.gate import Gate
from encola.mappings.scaling import START
from encola.mappings.targets.target import Answer, Failed, Refused, Returned

from ..broker.conftest import TestClock
from .conftest import Build
from .house import FakeTarget, House, numbered
from .samples import ACCOUNT


def failures(*ids: str) -> Returned:
    return Returned(json.dumps({"batchItemFailures": [{"itemIdentifier": one} for one in ids]}).encode())


# Batches -----------------------------------------------------------------------------------------------


async def test_messages_are_handed_over_in_batches_and_deleted(build: Build) -> None:
    house, target = await build(), FakeTarget()
    await house.send(*numbered(25))
    poller = house.poll(target)
    await house.emptied()
    assert target.batches == [numbered(10), numbered(10, 10), numbered(5, 20)]
    assert (poller.status.last_result, poller.status.done, poller.status.received) == ("OK", 25, 25)


async def test_a_message_that_comes_later_is_handed_over_at_once(build: Build) -> None:
    house, target = await build(), FakeTarget()
    house.poll(target)
    await asyncio.sleep(0)
    await house.send("late")
    await target.until(lambda: target.bodies == ["late"])


async def test_a_batch_is_no_larger_than_its_size(build: Build) -> None:
    house, target = await build(), FakeTarget()
    await house.send(*numbered(7))
    house.poll(target, batch_size=3)
    await house.emptied()
    assert [len(batch) for batch in target.batches] == [3, 3, 1]


async def test_a_window_gathers_what_comes_in_time(build: Build, clock: TestClock) -> None:
    house, target = await build(visibility=300), FakeTarget()
    poller = house.poll(target, batch_size=100, window=60)
    await house.send("a")
    await house.send("b", "c")
    while (await house.counts()).leased < 3:
        await asyncio.sleep(0.005)
    assert target.batches == []
    clock.turn(60_000)
    await house.send("d")  # wakes who waits
    await target.until(lambda: len(target.bodies) >= 3)
    assert target.batches[0] in (["a", "b", "c"], ["a", "b", "c", "d"])
    assert poller.status.invocations == 1


async def test_a_full_batch_does_not_wait_for_its_window(build: Build) -> None:
    house, target = await build(visibility=600), FakeTarget()
    await house.send(*numbered(1000))
    house.poll(target, batch_size=500, window=300)
    await house.emptied()
    assert [len(batch) for batch in target.batches] == [500, 500]


async def test_six_megabytes_do_not_wait_for_their_window_and_the_rest_is_not_counted(build: Build) -> None:
    house, target = await build(visibility=600), FakeTarget(held=True)
    await house.send(*(f"{number}" + "x" * 1_000_000 for number in range(8)))
    house.poll(target, batch_size=100, window=300)
    await target.until(lambda: len(target.batches) == 1)
    assert len(target.batches[0]) == 6
    assert len(json.dumps(target.events[0])) <= 6 * 1024 * 1024
    counts = await house.receives()
    assert {counts[body] for body in target.batches[0]} == {1}
    target.go.set()


async def test_the_lease_covers_window_and_function(build: Build, clock: TestClock) -> None:
    house, target = await build(visibility=30), FakeTarget(held=True)
    await house.send("a")
    before = clock.now()
    house.poll(target, batch_size=1, window=20, timeout=15)
    await target.until(lambda: target.running == 1)
    (peek,) = await house.broker.browse(house.queue)
    assert 65_000 <= peek.state.ready_at - before < 80_000
    target.go.set()


async def test_what_the_filters_do_not_want_is_deleted(build: Build) -> None:
    house, target = await build(), FakeTarget()
    await house.send('{"kind": "a"}', "plain", '{"kind": "b"}')
    poller = house.poll(target, filters=('{"body": {"kind": ["a"]}}',))
    await house.emptied()
    assert target.bodies == ['{"kind": "a"}']
    assert (poller.status.filtered, poller.status.received) == (2, 1)


# Failures ----------------------------------------------------------------------------------------------


async def test_after_an_error_messages_come_again_when_their_visibility_timeout_is_over(
    build: Build, clock: TestClock
) -> None:
    tries = iter([Failed("ValueError: no"), Returned(b"")])
    house, target = await build(visibility=40), FakeTarget(lambda bodies: next(tries))
    await house.send("a")
    poller = house.poll(target)
    await target.until(lambda: len(target.batches) == 1 and not target.running)
    await house.settled()
    assert (await house.counts()).leased == 1
    clock.turn(40_000)
    await house.send("wake")
    await house.emptied()
    attributes = [event["Records"][0]["attributes"] for event in target.events]
    assert [found["ApproximateReceiveCount"] for found in attributes][:2] == ["1", "2"]
    assert poller.status.failures == 1
    assert poller.status.problems[0].text == "ValueError: no"


async def test_errors_lower_the_concurrency_gradually(build: Build) -> None:
    house, target = await build(visibility=600), FakeTarget(lambda bodies: Failed("no"))
    await house.send(*numbered(30))
    poller = house.poll(target, batch_size=10)
    await target.until(lambda: len(target.batches) == 3 and not target.running)
    await house.settled()
    assert poller.limit < START


async def test_with_reported_failures_errors_do_not_slow_the_polling(build: Build) -> None:
    house, target = await build(visibility=600), FakeTarget(lambda bodies: Failed("no"))
    await house.send(*numbered(30))
    poller = house.poll(target, batch_size=10, reports_failures=True)
    await target.until(lambda: len(target.batches) == 3 and not target.running)
    await house.settled()
    assert poller.limit == START


async def test_only_what_is_named_comes_again(build: Build) -> None:
    house = await build(visibility=600)

    def answer(bodies: list[str]) -> Answer:
        records = target.events[-1]["Records"]
        return failures(*(record["messageId"] for record in records if record["body"] in ("m1", "m3")))

    target = FakeTarget(answer)
    await house.send(*numbered(5))
    house.poll(target, reports_failures=True)
    await target.until(lambda: len(target.batches) == 1 and not target.running)
    await house.settled()
    while (await house.counts()).total > 2:
        await asyncio.sleep(0.005)
    assert await house.receives() == {"m1": 1, "m3": 1}


async def test_a_response_that_makes_no_sense_fails_the_whole_batch(build: Build) -> None:
    house, target = await build(visibility=600), FakeTarget(lambda bodies: failures("unknown"))
    await house.send(*numbered(3))
    poller = house.poll(target, reports_failures=True)
    await target.until(lambda: len(target.batches) == 1 and not target.running)
    await house.settled()
    assert (await house.counts()).leased == 3
    assert poller.status.failed == 3


async def test_a_message_that_fails_too_often_goes_to_the_dead_letter_queue(
    build: Build, broker: Broker, clock: TestClock
) -> None:
    dead = Address(ACCOUNT, "dead")
    await broker.create(dead, ordered=False, settings=(await build()).queue.settings, tags={})
    house = House(broker, await broker.update((await broker_queue(broker)), settings=_with_dead_letters(broker, dead)))
    target = FakeTarget(lambda bodies: Failed("no"))
    await house.send("poison")
    house.poll(target)
    for tries in (1, 2):
        await target.until(lambda tries=tries: len(target.batches) == tries and not target.running)
        await house.settled()
        clock.turn(30_000)
        await house.send(f"wake{tries}")
    async with asyncio.timeout(10):
        while not (found := await broker.browse(_queue(broker, dead))):
            await asyncio.sleep(0.005)
    assert found[0].body == b"poison"
    await house.close()


async def broker_queue(broker: Broker) -> Any:
    return _queue(broker, Address(ACCOUNT, "work"))


def _queue(broker: Broker, address: Address) -> Any:
    queue = broker.find(address)
    assert queue is not None
    return queue


def _with_dead_letters(broker: Broker, dead: Address) -> Any:
    import msgspec

    settings = _queue(broker, Address(ACCOUNT, "work")).settings
    return msgspec.structs.replace(settings, dead_letter=DeadLetterRule(dead, 2))


# Order -------------------------------------------------------------------------------------------------


async def test_on_a_fifo_queue_a_group_is_processed_in_order_one_batch_at_a_time(build: Build) -> None:
    house, target = await build(ordered=True), FakeTarget()
    await house.send(*numbered(35), group="g")
    house.poll(target)
    await house.emptied()
    assert target.bodies == numbered(35)
    assert target.most == 1


async def test_concurrency_on_a_fifo_queue_is_the_number_of_active_groups(build: Build) -> None:
    house, target = await build(ordered=True), FakeTarget(held=True)
    for group in "abc":
        await house.send(*(f"{group}{number}" for number in range(20)), group=group)
    house.poll(target)
    await target.until(lambda: target.running == 2 or target.running == 3)
    await asyncio.sleep(0.05)
    groups = [{body[0] for body in batch} for batch in target.batches]
    assert sum(map(len, groups)) == len(set().union(*groups))  # no group twice
    target.go.set()
    await house.emptied()
    for group in "abc":
        assert [body for body in target.bodies if body[0] == group] == [f"{group}{n}" for n in range(20)]


async def test_after_an_error_a_group_is_retried_before_its_later_messages(build: Build, clock: TestClock) -> None:
    tries = iter([Failed("no")])
    house, target = await build(ordered=True), FakeTarget(lambda bodies: next(tries, Returned(b"")))
    await house.send(*numbered(4), group="g")
    house.poll(target, batch_size=2)
    await target.until(lambda: len(target.batches) == 1 and not target.running)
    await house.settled()
    await house.send("other", group="h")  # another group goes on
    await target.until(lambda: "other" in target.bodies)
    clock.turn(30_000)
    await house.send("wake", group="h")
    await house.emptied()
    assert [body for body in target.bodies if body[0] == "m"] == ["m0", "m1", "m0", "m1", "m2", "m3"]


@pytest.mark.parametrize("reported", [["m1", "m2", "m3"], ["m1"]], ids=["failed and unprocessed", "only the failed"])
async def test_what_failed_and_what_follows_it_come_back_in_order(
    build: Build, clock: TestClock, reported: list[str]
) -> None:
    house = await build(ordered=True)

    def answer(bodies: list[str]) -> Answer:
        if len(target.batches) > 1:
            return Returned(b"")
        return failures(*(r["messageId"] for r in target.events[-1]["Records"] if r["body"] in reported))

    target = FakeTarget(answer)
    await house.send(*numbered(4), group="g")
    house.poll(target, reports_failures=True)
    await target.until(lambda: len(target.batches) == 1 and not target.running)
    await house.settled()
    await house.send("m4", group="g")
    await house.send("other", group="h")
    await target.until(lambda: "other" in target.bodies)
    clock.turn(30_000)
    await house.send("wake", group="h")
    await house.emptied()
    again = [body for body in target.bodies[4:] if body[0] == "m"]
    assert again == ["m1", "m2", "m3", "m4"]
    counts = {r["body"]: r["attributes"]["ApproximateReceiveCount"] for e in target.events for r in e["Records"]}
    assert counts["m1"] == "2"
    assert counts["m3"] == ("2" if "m3" in reported else "1")  # what was only held did not count


# Refusals ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("throttled", [True, False])
@pytest.mark.parametrize("ordered", [True, False])
async def test_what_could_not_be_invoked_is_given_back_uncounted_and_in_order(
    build: Build, throttled: bool, ordered: bool
) -> None:
    house = await build(ordered=ordered)
    target = FakeTarget(lambda bodies: Refused("no", throttled) if len(target.batches) <= 3 else Returned(b""))
    await house.send(*numbered(6), group="g" if ordered else "")
    poller = house.poll(target, batch_size=2, maximum_concurrency=2)
    await house.emptied()
    assert poller.status.refusals >= 3
    counts = [r["attributes"]["ApproximateReceiveCount"] for e in target.events for r in e["Records"]]
    assert set(counts) == {"1"}
    if ordered:
        assert target.bodies[-6:] == numbered(6)


async def test_while_a_function_refuses_its_messages_stay_visible_to_others(build: Build) -> None:
    house, target = await build(), FakeTarget(lambda bodies: Refused("nobody listens"))
    await house.send("a")
    poller = house.poll(target)
    await target.until(lambda: len(target.batches) == 1 and not target.running)
    await house.settled()
    while (await house.counts()).ready != 1:
        await asyncio.sleep(0.001)
    assert await house.receives() == {"a": 0}
    assert "nobody listens" in poller.status.last_result
    assert poller.limit == 1


async def test_no_more_is_received_than_the_function_takes(build: Build) -> None:
    house, target = await build(), FakeTarget(held=True)
    await house.send(*numbered(50))
    house.poll(target, gate=Gate(2))
    await target.until(lambda: target.running == 2)
    await asyncio.sleep(0.05)
    assert (await house.counts()).leased == 20
    assert target.most == 2
    target.go.set()
    await house.emptied()


async def test_mappings_of_one_function_share_its_concurrency_and_a_quiet_one_blocks_nobody(
    broker: Broker, build: Build
) -> None:
    busy = await build()
    quiet = House(
        broker,
        await broker.create(Address(ACCOUNT, "quiet"), ordered=False, settings=busy.queue.settings, tags={}),
    )
    gate, target = Gate(1), FakeTarget()
    quiet.poll(target, gate=gate)
    await asyncio.sleep(0.02)  # it waits for messages now
    busy.poll(target, gate=gate)
    await busy.send(*numbered(30))
    await busy.emptied()
    await quiet.send("at last")
    await quiet.emptied()
    assert target.most == 1
    await quiet.close()


async def test_maximum_concurrency_is_kept(build: Build) -> None:
    house, target = await build(), FakeTarget(held=True)
    await house.send(*numbered(20))
    house.poll(target, batch_size=1, maximum_concurrency=2)
    await target.until(lambda: target.running == 2)
    await asyncio.sleep(0.3)  # time in which an unbounded mapping would grow by one
    assert target.most == 2
    target.go.set()
    await house.emptied()


async def test_concurrency_begins_at_five_and_grows_with_the_work(build: Build) -> None:
    house, target = await build(), FakeTarget(held=True)
    await house.send(*numbered(20))
    house.poll(target, batch_size=1)
    await target.until(lambda: target.running == START)
    await target.until(lambda: target.running == START + 2)  # at a rate of five a second
    target.go.set()
    await house.emptied()
