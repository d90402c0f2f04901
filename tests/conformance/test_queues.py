"""Declare, Drop, Purge and Note; what the catalog says of them, also after a restart."""

import msgspec

from encola.engine.changes import Declare, Drop, Note, Purge
from encola.engine.lifecycle import Outcome
from encola.engine.message import Counts, QueueId
from encola.engine.queue import Address, DeadLetterRule, Queue, Settings

from .desk import DEAD, HOUR, SECOND, START, WORK, Desk, a_queue, bodies


async def queues_of(desk: Desk) -> list[Queue]:
    catalog = await desk.store.catalog()
    return sorted(catalog.queues, key=lambda queue: queue.id)


async def test_a_new_store_is_empty(desk: Desk) -> None:
    catalog = await desk.store.catalog()
    assert (catalog.queues, catalog.notes, catalog.last_instant) == ([], {}, 0)


async def test_a_queue_is_kept_with_all_that_was_declared(desk: Desk) -> None:
    queue = Queue(
        id=QueueId(2**62),
        address=Address("111122223333", "orders.fifo"),
        ordered=True,
        settings=Settings(
            delay=1,
            lease=2,
            retention=3,
            wait=4,
            message_bytes_max=5,
            content_deduplication=True,
            group_deduplication=True,
            dead_letter=DeadLetterRule(Address("111122223333", "dead"), 6),
            attributes={"Policy": '{"é": 1}'},
        ),
        tags={"team": "späti"},
        created_at=START,
        modified_at=START + 1,
    )
    await desk.store.apply([Declare(queue)])
    assert await queues_of(desk) == [queue]
    await desk.reopen()
    assert await queues_of(desk) == [queue]


async def test_declaring_a_queue_again_replaces_its_settings_and_keeps_its_messages(desk: Desk) -> None:
    queue = await desk.declare()
    await desk.put("1")
    changed = msgspec.structs.replace(queue, settings=Settings(lease=5), tags={"a": "b"}, modified_at=START + 9)
    await desk.store.apply([Declare(changed)])
    assert await queues_of(desk) == [changed]
    assert await desk.bodies() == ["1"]
    assert await desk.counts() == Counts(ready=1)


async def test_a_dropped_queue_is_gone_with_its_messages(desk: Desk) -> None:
    await desk.declare()
    await desk.declare(DEAD)
    await desk.put_all("1", "2")
    await desk.put("stays", queue=DEAD)
    delivery = await desk.claim_one()
    assert await desk.one(Drop(WORK)) is Outcome.DONE
    assert await desk.one(Drop(WORK)) is Outcome.GONE
    assert [queue.id for queue in await queues_of(desk)] == [DEAD]
    assert bodies(await desk.claim()) == []
    assert await desk.bodies() == []
    assert await desk.counts() is None
    assert await desk.store.next_ready(WORK, desk.now) is None
    assert await desk.delete(delivery) is Outcome.GONE
    assert await desk.one(desk.a_put("3")) is Outcome.GONE
    assert await desk.one(Purge(WORK)) is Outcome.GONE
    assert await desk.bodies(DEAD) == ["stays"]


async def test_a_queue_made_again_under_its_old_name_is_another_one(desk: Desk) -> None:
    await desk.declare()
    await desk.put("old", key="k")
    delivery = await desk.claim_one()
    again = a_queue(QueueId(8), name=f"queue-{WORK}")
    assert list(await desk.store.apply([Drop(WORK), Declare(again)])) == [Outcome.DONE, Outcome.DONE]
    assert await queues_of(desk) == [again]
    assert await desk.bodies(again.id) == []
    assert not (await desk.put("new", key="k", queue=again.id)).duplicate
    assert await desk.delete(delivery, queue=again.id) is Outcome.GONE


async def test_even_a_queue_made_again_under_its_old_id_has_nothing_of_the_old(desk: Desk) -> None:
    await desk.declare(ordered=True)
    await desk.put("old", group="g", key="k")
    delivery = await desk.claim_one(lease=HOUR)
    await desk.store.apply([Drop(WORK), Declare(a_queue(WORK, ordered=True))])
    assert await desk.delete(delivery) is Outcome.GONE
    assert not (await desk.put("new", group="g", key="k")).duplicate
    assert bodies(await desk.claim()) == ["new"]


async def test_a_purged_queue_is_empty_and_works_on(desk: Desk) -> None:
    await desk.declare(delay=0)
    await desk.put_all("ready", "leased", group="g")
    await desk.put("delayed", delay=60 * SECOND)
    delivery = await desk.claim_one()
    assert await desk.one(Purge(WORK)) is Outcome.DONE
    assert await desk.counts() == Counts()
    assert await desk.bodies() == []
    assert await desk.store.next_ready(WORK, desk.now) is None
    assert await desk.delete(delivery) is Outcome.GONE
    assert await desk.extend(delivery, HOUR) is Outcome.GONE
    desk.turn(HOUR)
    assert bodies(await desk.claim()) == []
    await desk.put("new", group="g")
    assert bodies(await desk.claim()) == ["new"]
    assert await desk.one(Purge(QueueId(99))) is Outcome.GONE


async def test_purge_unlocks_the_groups_of_an_ordered_queue(desk: Desk) -> None:
    await desk.declare(ordered=True)
    await desk.put_all("1", "2", group="g")
    await desk.claim_one(lease=HOUR)
    await desk.one(Purge(WORK))
    await desk.put("3", group="g")
    assert bodies(await desk.claim()) == ["3"]


async def test_what_is_put_before_a_purge_in_one_call_is_purged_and_what_comes_after_is_not(desk: Desk) -> None:
    await desk.declare()
    await desk.put("old")
    await desk.store.apply([desk.a_put("before"), Purge(WORK), desk.a_put("after")])
    assert await desk.bodies() == ["after"]
    assert await desk.counts() == Counts(ready=1)


async def test_purged_and_dropped_queues_stay_so_after_a_restart_and_a_sweep(desk: Desk) -> None:
    await desk.declare()
    await desk.declare(DEAD, ordered=True)
    await desk.put_all(*"1234567", group="g", key=None)
    await desk.put_all(*"1234567", group="h", queue=DEAD)
    await desk.store.apply([Purge(WORK), Drop(DEAD)])
    await desk.put("new")
    await desk.reopen()
    assert await desk.bodies() == ["new"]
    while (await desk.sweep(limit=3)).more:
        assert await desk.bodies() == ["new"]
    await desk.reopen()
    assert await desk.bodies() == ["new"]
    assert await desk.counts() == Counts(ready=1)
    assert [queue.id for queue in await queues_of(desk)] == [WORK]


async def test_all_changes_of_queues_can_share_one_call_with_a_sweep(desk: Desk) -> None:
    """Storage that a sweep frees is used again at once: nothing of the old may show."""
    for _ in range(4):
        await desk.declare(WORK)
        await desk.put("1", group="g")
        await desk.store.apply([desk.a_put("2"), Drop(WORK)])
        await desk.sweep()
        await desk.declare(WORK)
        await desk.store.apply([desk.a_put("3"), Drop(WORK), desk.a_sweep(), Declare(a_queue(DEAD))])
        await desk.reopen()
        assert await desk.counts(DEAD) == Counts()
        assert await desk.one(Drop(DEAD)) is Outcome.DONE


async def test_a_note_is_kept_until_it_is_forgotten(desk: Desk) -> None:
    await desk.store.apply([Note("task", "a", b"1"), Note("task", "b", b""), Note("other", "a", b"\x00\xff")])
    await desk.store.apply([Note("task", "a", b"2")])
    expected = {("task", "a"): b"2", ("task", "b"): b"", ("other", "a"): b"\x00\xff"}
    assert (await desk.store.catalog()).notes == expected
    await desk.reopen()
    assert (await desk.store.catalog()).notes == expected
    assert await desk.one(Note("task", "a", None)) is Outcome.DONE
    assert await desk.one(Note("task", "never", None)) is Outcome.DONE
    del expected["task", "a"]
    await desk.reopen()
    assert (await desk.store.catalog()).notes == expected
