"""An ordered queue: strict order within a group, one batch of a group at a time, groups side by side."""

from encola.engine.changes import Delete
from encola.engine.lifecycle import Outcome
from encola.engine.message import QueueId

from .desk import DEAD, SECOND, WORK, Desk, bodies

OTHER = QueueId(3)


async def test_a_group_comes_in_the_order_of_sending(desk: Desk) -> None:
    await desk.declare(ordered=True)
    await desk.put_all(*(str(number) for number in range(25)), group="g")
    assert await desk.drain() == [str(number) for number in range(25)]


async def test_a_claim_may_be_larger_than_any_protocol_asks(desk: Desk) -> None:
    await desk.declare(ordered=True)
    await desk.put_all(*(str(number) for number in range(25)), group="g")
    assert bodies(await desk.claim(20)) == [str(number) for number in range(20)]
    desk.turn(SECOND)
    assert bodies(await desk.claim(20)) == []  # all twenty lock the group, also the last of them


async def test_a_group_is_locked_while_one_of_its_messages_is_leased(desk: Desk) -> None:
    await desk.declare(ordered=True)
    await desk.put_all("a1", "a2", "a3", group="a")
    await desk.put_all("b1", group="b")
    first, second = await desk.claim(2)
    assert bodies([first, second]) == ["a1", "a2"]
    assert bodies(await desk.claim()) == ["b1"]
    assert await desk.delete(first) is Outcome.DONE
    assert bodies(await desk.claim()) == []
    assert await desk.delete(second) is Outcome.DONE
    assert bodies(await desk.claim()) == ["a3"]


async def test_a_lease_that_ends_gives_the_group_back_from_its_first_message(desk: Desk) -> None:
    await desk.declare(ordered=True)
    await desk.put_all("1", "2", "3", group="g")
    await desk.claim(2, lease=10 * SECOND)
    desk.turn(10 * SECOND - 1)
    assert bodies(await desk.claim()) == []
    desk.turn(1)
    assert bodies(await desk.claim()) == ["1", "2", "3"]


async def test_the_group_waits_for_the_longest_of_its_leases(desk: Desk) -> None:
    await desk.declare(ordered=True)
    await desk.put_all("1", "2", group="g")
    first, second = await desk.claim(2, lease=10 * SECOND)
    assert await desk.extend(second, 60 * SECOND) is Outcome.DONE
    assert await desk.release(first) is Outcome.DONE
    desk.turn(60 * SECOND - 1)
    assert bodies(await desk.claim()) == []
    desk.turn(1)
    assert bodies(await desk.claim()) == ["1", "2"]


async def test_a_shortened_lease_frees_the_group_early(desk: Desk) -> None:
    await desk.declare(ordered=True)
    await desk.put_all("1", "2", group="g")
    delivery = await desk.claim_one(lease=60 * SECOND)
    assert await desk.extend(delivery, SECOND) is Outcome.DONE
    desk.turn(SECOND)
    assert bodies(await desk.claim()) == ["1", "2"]


async def test_a_new_message_does_not_unlock_its_group(desk: Desk) -> None:
    await desk.declare(ordered=True)
    await desk.put("1", group="g")
    await desk.claim_one(lease=60 * SECOND)
    await desk.put("2", group="g")
    assert bodies(await desk.claim()) == []


async def test_a_message_that_is_not_ready_holds_back_those_behind_it(desk: Desk) -> None:
    await desk.declare(ordered=True)
    await desk.put("1", group="g")
    await desk.put("2", group="g", delay=10 * SECOND)
    await desk.put("3", group="g")
    await desk.put("other", group="h")
    assert bodies(await desk.claim(1)) == ["1"]
    assert bodies(await desk.claim()) == ["other"]
    desk.turn(10 * SECOND)
    assert await desk.drain() == []  # "1" is leased yet
    desk.turn(20 * SECOND)
    assert bodies(await desk.claim()) == ["1", "2", "3", "other"]


async def test_a_released_message_does_not_wait_for_a_delayed_one_behind_it(desk: Desk) -> None:
    await desk.declare(ordered=True)
    await desk.put("1", group="g")
    await desk.put("2", group="g", delay=10 * SECOND)
    assert await desk.release(await desk.claim_one()) is Outcome.DONE
    assert bodies(await desk.claim()) == ["1"]


async def test_the_group_that_is_due_longest_goes_first(desk: Desk) -> None:
    await desk.declare(ordered=True)
    await desk.put_all("a1", group="a")
    await desk.put_all("b1", group="b")
    await desk.put_all("a2", group="a")
    await desk.put_all("c1", group="c")
    assert bodies(await desk.claim(1)) == ["a1"]
    assert bodies(await desk.claim(1)) == ["b1"]
    desk.turn(30 * SECOND)
    # c was never away; a and b came back when their leases ended, in that order
    assert bodies(await desk.claim()) == ["c1", "a1", "a2", "b1"]


async def test_groups_that_are_due_at_one_moment_go_by_their_first_messages(desk: Desk) -> None:
    await desk.declare(ordered=True)
    await desk.store.apply([desk.a_put("a1", group="a"), desk.a_put("b1", group="b"), desk.a_put("a2", group="a")])
    assert await desk.delete(await desk.claim_one()) is Outcome.DONE
    assert bodies(await desk.claim()) == ["b1", "a2"]


async def test_one_claim_takes_whole_groups_until_it_is_full(desk: Desk) -> None:
    await desk.declare(ordered=True)
    for group in "abc":
        await desk.put_all(*(f"{group}{number}" for number in range(4)), group=group)
    assert bodies(await desk.claim(10)) == ["a0", "a1", "a2", "a3", "b0", "b1", "b2", "b3", "c0", "c1"]


async def test_messages_without_a_group_are_one_group(desk: Desk) -> None:
    await desk.declare(ordered=True)
    await desk.put_all("1", "2")
    assert bodies(await desk.claim(1)) == ["1"]
    assert bodies(await desk.claim()) == []


async def test_groups_of_the_same_name_on_two_queues_are_two(desk: Desk) -> None:
    await desk.declare(ordered=True)
    await desk.declare(OTHER, ordered=True)
    await desk.put("here", group="g")
    await desk.put("there", group="g", queue=OTHER)
    assert bodies(await desk.claim()) == ["here"]
    assert bodies(await desk.claim(queue=OTHER)) == ["there"]


async def test_a_group_whose_message_was_moved_away_goes_on(desk: Desk) -> None:
    await desk.declare(ordered=True)
    await desk.declare(DEAD, ordered=True)
    await desk.put_all("bad", "good", group="g")
    assert await desk.move(await desk.claim_one()) is Outcome.DONE
    assert bodies(await desk.claim()) == ["good"]
    assert bodies(await desk.claim(queue=DEAD)) == ["bad"]


async def test_messages_that_are_moved_in_do_not_unlock_a_group(desk: Desk) -> None:
    """Moved messages keep their ids, so they may come to stand before the ones that are leased."""
    await desk.declare(ordered=True)
    await desk.declare(DEAD, ordered=True)
    await desk.put_all(*(f"moved {number}" for number in range(12)), group="g")
    await desk.put_all(*(f"own {number}" for number in range(10)), group="g", queue=DEAD)
    out = await desk.claim(10, queue=DEAD, lease=3600 * SECOND)
    for delivery in await desk.claim(12):
        assert await desk.move(delivery) is Outcome.DONE
    desk.turn(SECOND)
    assert bodies(await desk.claim(queue=DEAD)) == []
    for delivery in out[:-1]:
        assert await desk.one(Delete(DEAD, delivery.id, delivery.lease, desk.now)) is Outcome.DONE
        assert bodies(await desk.claim(queue=DEAD)) == []
    assert await desk.release(out[-1], queue=DEAD) is Outcome.DONE
    assert bodies(await desk.claim(20, queue=DEAD)) == [*(f"moved {number}" for number in range(12)), "own 9"]


async def test_a_changed_delay_of_an_ordered_queue_holds_for_what_waits(desk: Desk) -> None:
    await desk.declare(ordered=True, delay=0)
    await desk.put("leased", group="a")
    await desk.claim_one(lease=5 * SECOND)
    await desk.put("waits", group="b")
    await desk.declare(ordered=True, delay=60 * SECOND)
    desk.turn(5 * SECOND)
    assert bodies(await desk.claim()) == ["leased"]  # it has been delivered before: no delay any more
    desk.turn(55 * SECOND)
    assert "waits" in bodies(await desk.claim())
    await desk.put("next", group="c", delay=60 * SECOND)
    await desk.declare(ordered=True, delay=0)
    assert "next" in bodies(await desk.claim())


async def test_a_changed_delay_of_a_standard_queue_holds_for_new_messages_only(desk: Desk) -> None:
    await desk.declare(delay=0)
    await desk.put("waits")
    await desk.declare(delay=60 * SECOND)
    assert bodies(await desk.claim()) == ["waits"]


async def test_many_groups_are_served_beside_a_long_locked_one(desk: Desk) -> None:
    await desk.declare(ordered=True)
    await desk.store.apply([desk.a_put(f"locked {number}", group="locked") for number in range(200)])
    await desk.claim(1, lease=3600 * SECOND)
    for number in range(30):
        await desk.put(f"{number}", group=f"group {number}")
    assert await desk.drain() == [str(number) for number in range(30)]
    assert (await desk.claim(10, queue=WORK)) in ([], ())
