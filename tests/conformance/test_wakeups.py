"""Watching a store: whoever waits for a message is told in time. Too often is allowed, never is not."""

from encola.engine.changes import Wakeup
from encola.engine.lifecycle import Outcome

from .desk import DEAD, SECOND, WORK, Desk


def woken_at(desk: Desk, queue: int = WORK) -> list[int]:
    """The moments for which the queue's watchers were woken since the last call."""
    moments = [wakeup.at for wakeup in desk.wakeups if wakeup.queue == queue]
    desk.wakeups.clear()
    return moments


async def test_a_put_wakes_for_the_moment_at_which_it_is_ready(desk: Desk) -> None:
    await desk.declare()
    await desk.put("1")
    assert desk.wakeups == [Wakeup(WORK, desk.now)]
    desk.wakeups.clear()
    await desk.put("2", delay=9 * SECOND, group="g")
    assert desk.wakeups == [Wakeup(WORK, desk.now + 9 * SECOND)]


async def test_many_puts_in_one_call_wake_for_the_earliest(desk: Desk) -> None:
    await desk.declare()
    await desk.store.apply([desk.a_put("1", delay=50), desk.a_put("2", delay=10), desk.a_put("3", delay=90)])
    assert woken_at(desk) == [desk.now + 10]


async def test_the_message_is_there_when_the_watcher_hears_of_it(desk: Desk) -> None:
    await desk.declare()
    seen: list[int] = []
    desk.store.watch(lambda wakeup: seen.append(len(desk.wakeups)))
    await desk.put("1")
    assert seen == [1]
    assert len(await desk.claim()) == 1


async def test_a_duplicate_or_a_refused_change_wakes_nobody(desk: Desk) -> None:
    await desk.declare()
    await desk.put("1", key="k")
    stale = await desk.claim_one(lease=0)
    fresh = await desk.claim_one()
    desk.wakeups.clear()
    await desk.put("2", key="k")
    await desk.release(stale)
    await desk.delete(stale)
    await desk.move(stale, WORK)
    assert desk.wakeups == []
    assert await desk.delete(fresh) is Outcome.DONE


async def test_a_released_message_wakes_at_once(desk: Desk) -> None:
    await desk.declare()
    await desk.put("1")
    delivery = await desk.claim_one()
    desk.wakeups.clear()
    desk.turn(5)
    await desk.release(delivery)
    assert desk.now in woken_at(desk)


async def test_a_shortened_lease_wakes_for_its_new_end(desk: Desk) -> None:
    await desk.declare()
    await desk.put("1")
    delivery = await desk.claim_one(lease=60 * SECOND)
    desk.wakeups.clear()
    await desk.extend(delivery, 2 * SECOND)
    assert min(woken_at(desk)) <= desk.now + 2 * SECOND


async def test_settling_the_last_leased_message_of_a_group_wakes_for_the_next(desk: Desk) -> None:
    await desk.declare(ordered=True)
    await desk.declare(DEAD, ordered=True)
    await desk.put_all("1", "2", "3", "4", group="g")
    for settle in (desk.delete, desk.move, lambda delivery: desk.resend(delivery, DEAD)):
        delivery = await desk.claim_one()
        desk.wakeups.clear()
        assert await settle(delivery) is Outcome.DONE
        assert min(woken_at(desk)) <= desk.now


async def test_moves_wake_the_target(desk: Desk) -> None:
    await desk.declare()
    await desk.declare(DEAD)
    await desk.put_all("1", "2")
    for settle in (desk.move, lambda delivery: desk.resend(delivery, DEAD)):
        delivery = await desk.claim_one()
        desk.wakeups.clear()
        assert await settle(delivery) is Outcome.DONE
        assert min(woken_at(desk, DEAD)) <= desk.now


async def test_a_shortened_delay_of_an_ordered_queue_wakes(desk: Desk) -> None:
    await desk.declare(ordered=True, delay=60 * SECOND)
    await desk.put("1", group="g", delay=60 * SECOND)
    desk.wakeups.clear()
    await desk.declare(ordered=True, delay=SECOND)
    assert min(woken_at(desk)) <= desk.now + SECOND


async def test_all_watchers_are_told(desk: Desk) -> None:
    await desk.declare()
    others: list[Wakeup] = []
    desk.store.watch(others.append)
    desk.store.watch(others.append)
    await desk.put("1")
    assert others == desk.wakeups * 2


async def test_a_watcher_that_fails_does_not_stop_the_store_or_the_others(desk: Desk) -> None:
    await desk.declare()
    told: list[Wakeup] = []

    def fail(wakeup: Wakeup) -> None:
        raise RuntimeError("a watcher's own fault")

    desk.store.watch(fail)
    desk.store.watch(told.append)
    await desk.put("1")
    await desk.put("2")
    assert len(told) == 2
