"""The text of a scrape: how it is made, and what it costs whom."""

import asyncio

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from encola.broker.broker import Broker
from encola.engine.queue import Address, Settings
from encola.metrics.families import Facts
from encola.metrics.prometheus import SLICE, Prometheus, Scope, _label

from .conftest import ACCOUNT, Watch


def queues_in(text: bytes) -> list[str]:
    """The queues of one family, in their order."""
    (family,) = [one for one in parse(text.decode()) if one.name == "encola_queue_messages_visible"]
    return [sample.labels["queue"] for sample in family.samples]


def value(text: bytes, name: str) -> float:
    (sample,) = [one for family in parse(text.decode()) for one in family.samples if one.name == name]
    return float(sample.value)


async def test_scrapers_of_one_tick_share_one_pass(watch: Watch) -> None:
    queue = await watch.queue()
    prometheus = Prometheus(watch.broker, watch.sampler, Facts)
    await watch.pass_seconds()
    first = await asyncio.gather(*(prometheus.render(Scope()) for _ in range(10)))
    assert prometheus.passes == 1
    assert len(set(first)) == 1
    await watch.send(queue, 3)
    assert await prometheus.render(Scope()) == first[0]
    await watch.pass_seconds()
    assert value(await prometheus.render(Scope()), "encola_queue_messages_visible") == 3
    assert prometheus.passes == 2


async def test_a_scraper_that_leaves_does_not_take_the_pass_from_the_others(watch: Watch) -> None:
    for number in range(3 * SLICE):
        await watch.queue(f"q{number}")
    prometheus = Prometheus(watch.broker, watch.sampler, Facts)
    await watch.pass_seconds()
    leaving = asyncio.create_task(prometheus.render(Scope()))
    staying = asyncio.create_task(prometheus.render(Scope()))
    await asyncio.sleep(0)
    leaving.cancel()
    assert len(queues_in(await staying)) == 3 * SLICE
    assert prometheus.passes == 1


async def test_a_pass_gives_way_after_each_slice_of_queues(watch: Watch) -> None:
    for number in range(4 * SLICE):
        await watch.queue(f"q{number}")
    prometheus = Prometheus(watch.broker, watch.sampler, Facts)
    await watch.pass_seconds()
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    busy = asyncio.create_task(others())
    await prometheus.render(Scope())
    busy.cancel()
    assert turns >= 4


async def test_a_tick_gives_way_after_each_slice_of_queues(watch: Watch) -> None:
    for number in range(500):
        await watch.queue(f"q{number}")
    await watch.pass_seconds()
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    busy = asyncio.create_task(others())
    await watch.pass_seconds(60)  # the end of a minute among them
    busy.cancel()
    assert turns >= 60 * 500 / 50


async def test_queues_beyond_the_largest_number_are_counted(watch: Watch) -> None:
    for name in "dbeac":
        await watch.queue(name)
    prometheus = Prometheus(watch.broker, watch.sampler, Facts, queues_max=3)
    await watch.pass_seconds()
    text = await prometheus.render(Scope())
    assert queues_in(text) == ["a", "b", "c"]
    assert value(text, "encola_queues_left_out") == 2
    assert value(text, "encola_queues") == 5
    assert queues_in(await prometheus.render(Scope(wanted=("d", "e")))) == ["d", "e"]


async def test_a_scope_has_an_account_patterns_and_maybe_the_server(broker_of_two: Broker, watch: Watch) -> None:
    prometheus = Prometheus(broker_of_two, watch.sampler, Facts)
    assert queues_in(await prometheus.render(Scope())) == ["orders", "mail", "orders"]
    assert queues_in(await prometheus.render(Scope(ACCOUNT))) == ["orders"]
    assert queues_in(await prometheus.render(Scope(allowed=("m*",)))) == ["mail"]
    assert queues_in(await prometheus.render(Scope(allowed=("m*", "o*"), wanted=("[no]*",)))) == ["orders", "orders"]
    assert b"encola_store_bytes" not in await prometheus.render(Scope(server=False))


@pytest.fixture
async def broker_of_two(watch: Watch) -> Broker:
    for account, name in ((ACCOUNT, "orders"), ("999988887777", "orders"), ("999988887777", "mail")):
        await watch.broker.create(Address(account, name), ordered=False, settings=Settings(), tags={})
    return watch.broker


async def test_a_pass_that_failed_is_not_kept(watch: Watch) -> None:
    answers: list[Facts | None] = [None, Facts()]

    def facts() -> Facts:
        answer = answers.pop(0)
        if answer is None:
            raise OSError("no disk")
        return answer

    prometheus = Prometheus(watch.broker, watch.sampler, facts)
    await watch.pass_seconds()
    with pytest.raises(OSError, match="no disk"):
        await prometheus.render(Scope())
    assert value(await prometheus.render(Scope()), "encola_queues") == 0


async def test_what_is_not_known_is_left_out_and_what_never_ends_is_infinite(watch: Watch) -> None:
    await watch.send(await watch.queue())
    prometheus = Prometheus(watch.broker, watch.sampler, Facts)
    await watch.pass_seconds()
    text = await prometheus.render(Scope())
    assert b"encola_store_free_bytes" not in text
    assert value(text, "encola_queue_drain_seconds") == float("inf")


def test_a_label_is_escaped() -> None:
    assert _label('a"b\\c\nd') == 'a\\"b\\\\c\\nd'
    assert _label("work.fifo") == "work.fifo"
