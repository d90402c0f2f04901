"""Message groups on a standard queue: tenants. The noisy ones come last, and nobody is left out."""

from encola.engine.lifecycle import Outcome
from encola.engine.message import QueueId

from .desk import DEAD, SECOND, WORK, Desk, bodies


async def test_without_noisy_tenants_groups_change_nothing(desk: Desk) -> None:
    await desk.declare()
    for body, group in (("1", "a"), ("2", ""), ("3", "b"), ("4", "a"), ("5", "")):
        await desk.put(body, group=group)
        desk.turn(1)
    assert bodies(await desk.claim(3)) == ["1", "2", "3"]
    assert bodies(await desk.claim(3)) == ["4", "5"]


async def test_a_group_of_a_standard_queue_is_never_locked(desk: Desk) -> None:
    await desk.declare()
    await desk.put_all("1", "2", group="g")
    assert bodies(await desk.claim(1)) == ["1"]
    assert bodies(await desk.claim(1)) == ["2"]


async def test_messages_of_noisy_tenants_come_last(desk: Desk) -> None:
    await desk.declare()
    await desk.put_all("n1", "n2", "n3", group="noisy")
    await desk.put_all("q1", group="quiet")
    await desk.put_all("alone")
    assert bodies(await desk.claim(2, noisy=("noisy",))) == ["q1", "alone"]
    assert bodies(await desk.claim(2, noisy=("noisy",))) == ["n1", "n2"]


async def test_what_is_left_of_a_claim_goes_to_the_noisy_in_the_order_given(desk: Desk) -> None:
    await desk.declare()
    await desk.put_all("x1", "x2", group="x")
    await desk.put_all("y1", "y2", group="y")
    await desk.put_all("q", group="quiet")
    assert bodies(await desk.claim(4, noisy=("y", "x"))) == ["q", "y1", "y2", "x1"]


async def test_a_tenant_named_noisy_that_has_nothing_does_no_harm(desk: Desk) -> None:
    await desk.declare()
    await desk.put_all("1", "2", group="g")
    assert bodies(await desk.claim(noisy=("gone", "", "never"))) == ["1", "2"]


async def test_many_noisy_backlogs_do_not_hide_a_quiet_tenant(desk: Desk) -> None:
    """The quiet one came last, and more noisy tenants than a claim takes are due before it."""
    await desk.declare()
    noisy = tuple(f"noisy {number}" for number in range(20))
    for group in noisy:
        await desk.put_all("n", "n", group=group)
    await desk.put_all("quiet 1", "quiet 2", group="quiet")
    await desk.put_all("alone")
    assert bodies(await desk.claim(3, noisy=noisy)) == ["quiet 1", "quiet 2", "alone"]


async def test_oldest_first_holds_over_more_groups_than_a_claim_takes(desk: Desk) -> None:
    await desk.declare()
    for number in range(25):
        await desk.put_all(f"{number}", group=f"group {number}")
    assert await desk.drain() == [str(number) for number in range(25)]


async def test_groups_of_one_moment_come_in_the_order_of_acceptance(desk: Desk) -> None:
    await desk.declare()
    order = [(number * 7) % 12 for number in range(36)]
    await desk.store.apply([desk.a_put(f"{place}", group=f"group {group}") for place, group in enumerate(order)])
    claimed = []
    while deliveries := await desk.claim(5):
        claimed += bodies(deliveries)
    assert claimed == [str(place) for place in range(36)]


async def test_a_released_message_of_a_group_keeps_its_turn(desk: Desk) -> None:
    await desk.declare()
    await desk.put_all("1", group="a")
    await desk.put_all("2", group="b")
    delivery = await desk.claim_one()
    await desk.put_all("3", group="c")
    assert await desk.release(delivery) is Outcome.DONE  # ready since now: behind the others
    assert bodies(await desk.claim()) == ["2", "3", "1"]


async def test_a_lease_that_ends_brings_its_group_back(desk: Desk) -> None:
    await desk.declare()
    await desk.put("1", group="a")
    await desk.claim_one(lease=SECOND)
    assert bodies(await desk.claim()) == []
    desk.turn(SECOND)
    assert bodies(await desk.claim()) == ["1"]


async def test_leased_messages_are_counted_by_tenant(desk: Desk) -> None:
    await desk.declare()
    await desk.declare(DEAD)
    await desk.put_all("a1", "a2", "a3", group="a")
    await desk.put_all("b1", group="b")
    await desk.put_all("alone")
    await desk.put("delayed", group="d", delay=60 * SECOND)
    await desk.put("elsewhere", group="a", queue=DEAD)
    await desk.claim(queue=DEAD)
    assert dict(await desk.store.leased_by_group(WORK, desk.now)) == {}
    await desk.claim(2, lease=10 * SECOND)
    desk.turn(1)
    await desk.claim(10, lease=20 * SECOND)
    assert dict(await desk.store.leased_by_group(WORK, desk.now)) == {"a": 3, "b": 1, "": 1}
    desk.turn(10 * SECOND)
    assert dict(await desk.store.leased_by_group(WORK, desk.now)) == {"a": 1, "b": 1, "": 1}


async def test_a_tenant_of_an_unknown_queue_holds_nothing(desk: Desk) -> None:
    assert dict(await desk.store.leased_by_group(QueueId(99), desk.now)) == {}
