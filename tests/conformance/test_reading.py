"""Looking without touching: browse, counts, next_ready; and that a reader sees what was acknowledged."""

import msgspec

from encola.engine.changes import Move, Purge
from encola.engine.lifecycle import Outcome
from encola.engine.message import Counts, MessageId, MessageState, QueueId

from .desk import DEAD, HOUR, SECOND, START, WORK, Desk, bodies

NOWHERE = QueueId(99)


async def test_browse_shows_messages_in_the_order_of_their_ids_and_leases_nothing(desk: Desk) -> None:
    await desk.declare()
    await desk.put("delayed", delay=HOUR)
    await desk.put("leased", group="g")
    await desk.claim_one()
    await desk.put("ready", group="h")
    assert await desk.bodies() == ["delayed", "leased", "ready"]
    assert await desk.counts() == Counts(ready=1, leased=1, delayed=1)
    assert bodies(await desk.claim()) == ["ready"]


async def test_browse_shows_a_messages_whole_state(desk: Desk) -> None:
    await desk.declare()
    stored = await desk.put("1", group="g")
    desk.turn(SECOND)
    await desk.claim_one(lease=10 * SECOND)
    desk.turn(SECOND)
    (peek,) = await desk.store.browse(WORK, None, 1)
    assert peek.state == MessageState(
        stored.message, START + 11 * SECOND, 1, 1, START, START + SECOND, START + SECOND
    )  # fmt: skip
    assert (peek.envelope.message_id, peek.envelope.group, peek.body) == ("id of 1", "g", b"1")


async def test_browse_goes_on_after_a_message_in_pages(desk: Desk) -> None:
    await desk.declare()
    await desk.declare(DEAD)
    for number in range(11):
        await desk.put(str(number), group=f"g{number % 3}" if number % 2 else "")
        await desk.put("elsewhere", queue=DEAD)
    seen: list[str] = []
    after = None
    while page := await desk.store.browse(WORK, after, 4):
        assert len(page) <= 4
        seen += [peek.body.decode() for peek in page]
        after = page[-1].state.id
    assert seen == [str(number) for number in range(11)]


async def test_browse_goes_on_after_a_message_that_is_gone(desk: Desk) -> None:
    await desk.declare()
    await desk.put_all("1", "2", "3")
    first = await desk.claim_one()
    await desk.delete(first)
    assert [peek.body for peek in await desk.store.browse(WORK, first.id, 10)] == [b"2", b"3"]


async def test_browse_of_a_queue_that_is_not_there_is_empty(desk: Desk) -> None:
    assert list(await desk.store.browse(NOWHERE, None, 10)) == []


async def test_what_browse_shows_is_a_copy(desk: Desk) -> None:
    await desk.declare()
    await desk.put("1")
    (peek,) = await desk.store.browse(WORK, None, 1)
    await desk.claim_one()
    assert (peek.state.lease, peek.state.ready_at) == (0, START)


async def test_counts_follow_the_clock(desk: Desk) -> None:
    await desk.declare()
    await desk.put_all("1", "2", "3", group="g")
    await desk.put_all("4")
    await desk.put("later", delay=60 * SECOND)
    await desk.claim(2, lease=10 * SECOND)
    assert await desk.counts() == Counts(ready=2, leased=2, delayed=1)
    assert (await desk.counts()).total == 5  # type: ignore[union-attr]
    desk.turn(10 * SECOND)
    assert await desk.counts() == Counts(ready=4, delayed=1)
    desk.turn(50 * SECOND)
    assert await desk.counts() == Counts(ready=5)


async def test_counts_answer_for_each_queue_that_exists(desk: Desk) -> None:
    await desk.declare()
    await desk.declare(DEAD, ordered=True)
    await desk.put("1", queue=DEAD, group="g")
    counts = await desk.store.counts([WORK, DEAD, NOWHERE], desk.now)
    assert dict(counts) == {WORK: Counts(), DEAD: Counts(ready=1)}
    assert dict(await desk.store.counts([], desk.now)) == {}


async def test_counts_stay_right_over_every_way_in_and_out(desk: Desk) -> None:
    await desk.declare()
    await desk.declare(DEAD)
    await desk.put_all("1", "2", "3", "4", "5", group="g")
    first, second, third, *_ = await desk.claim(3)
    await desk.delete(first)
    await desk.move(second)
    await desk.resend(third, DEAD)
    await desk.put_all("6", key="k")
    await desk.put_all("6 again", key="k")
    for _ in range(2):
        assert await desk.counts() == Counts(ready=3)
        assert await desk.counts(DEAD) == Counts(ready=2)
        await desk.reopen()


async def test_the_next_moment_of_a_standard_queue_is_its_earliest(desk: Desk) -> None:
    await desk.declare()
    assert await desk.store.next_ready(WORK, desk.now) is None
    await desk.put("1", delay=60 * SECOND)
    await desk.put("2", delay=30 * SECOND, group="g")
    assert await desk.store.next_ready(WORK, desk.now) == START + 30 * SECOND
    await desk.put("3", group="h")
    assert await desk.store.next_ready(WORK, desk.now) == START
    await desk.claim_one(lease=10 * SECOND)
    assert await desk.store.next_ready(WORK, desk.now) == START + 10 * SECOND
    assert await desk.store.next_ready(NOWHERE, desk.now) is None


async def test_the_next_moment_of_an_ordered_queue_waits_for_its_groups(desk: Desk) -> None:
    await desk.declare(ordered=True)
    assert await desk.store.next_ready(WORK, desk.now) is None
    await desk.put_all("1", "2", "3", group="g")
    first, second = await desk.claim(2, lease=20 * SECOND)
    locked_until = first.lease_until
    assert await desk.store.next_ready(WORK, desk.now) == locked_until
    await desk.delete(first)
    assert await desk.store.next_ready(WORK, desk.now) == locked_until
    await desk.put("other", group="h", delay=5 * SECOND)
    assert await desk.store.next_ready(WORK, desk.now) == desk.now + 5 * SECOND
    await desk.delete(second)
    due = await desk.store.next_ready(WORK, desk.now)
    assert due is not None
    assert due <= desk.now


async def test_nothing_can_be_claimed_before_the_next_moment_and_something_can_at_it(desk: Desk) -> None:
    await desk.declare(ordered=True)
    for number in range(6):
        await desk.put(str(number), group=f"g{number % 2}", delay=number * 700)
    for _ in range(12):
        due = await desk.store.next_ready(WORK, desk.now)
        assert due is not None
        if due > desk.now:
            desk.now = due - 1
            assert bodies(await desk.claim()) == []
            desk.now = due
        assert await desk.claim(1, lease=SECOND)


async def test_a_read_sees_what_was_acknowledged_before_it(desk: Desk) -> None:
    await desk.declare()
    for number in range(20):
        await desk.put(str(number))
        assert await desk.counts() == Counts(ready=1)
        assert await desk.bodies() == [str(number)]
        delivery = await desk.claim_one()
        assert await desk.counts() == Counts(leased=1)
        assert await desk.store.next_ready(WORK, desk.now) == delivery.lease_until
        assert await desk.delete(delivery) is Outcome.DONE
        assert await desk.store.next_ready(WORK, desk.now) is None


async def test_browse_goes_backwards_from_the_newest(desk: Desk) -> None:
    await desk.declare()
    await desk.declare(DEAD)
    for number in range(11):
        await desk.put(str(number), group=f"g{number % 3}" if number % 2 else "")
        await desk.put("elsewhere", queue=DEAD)
    seen: list[str] = []
    before = None
    while page := await desk.store.browse(WORK, before, 4, newest_first=True):
        assert len(page) <= 4
        seen += [peek.body.decode() for peek in page]
        before = page[-1].state.id
    assert seen == [str(number) for number in reversed(range(11))]
    assert list(await desk.store.browse(NOWHERE, None, 10, newest_first=True)) == []


async def test_the_pages_of_a_queue_between_many_of_another_hold_its_own_only(desk: Desk) -> None:
    """So many that a walk over all of them is given up."""
    await desk.declare()
    await desk.declare(DEAD)
    own = [(await desk.put(str(number), group="g" if number else "")).message for number in range(3)]
    for _ in range(3):
        await desk.store.apply([desk.a_put("elsewhere", queue=DEAD) for _ in range(1_500)])
    own += [(await desk.put(str(number))).message for number in range(3, 6)]
    for limit in (1, 4, 100):
        for after in (None, own[1], own[3] - 1, own[4]):
            later = [message for message in own if after is None or message > after]
            sooner = [message for message in reversed(own) if after is None or message < after]
            pages = [await desk.store.browse(WORK, after, limit, newest_first=newest) for newest in (False, True)]
            assert [[peek.state.id for peek in page] for page in pages] == [later[:limit], sooner[:limit]]


async def test_messages_are_browsed_from_a_time_on(desk: Desk) -> None:
    await desk.declare()
    await desk.declare(DEAD)
    for number in range(40):
        await desk.put(str(number), group=f"g{number % 3}")
        await desk.put("elsewhere", queue=DEAD)
        desk.turn(SECOND)
    for sent_at, first in ((0, 0), (START, 0), (START + 1, 1), (START + 17 * SECOND, 17), (START + 39 * SECOND, 39)):
        after = await desk.store.browse_from(WORK, sent_at)
        later = [peek.body.decode() for peek in await desk.store.browse(WORK, after, 2)]
        assert later == [str(number) for number in range(first, min(first + 2, 40))]
        sooner = await desk.store.browse(WORK, MessageId(after + 1), 1, newest_first=True)
        assert [peek.body.decode() for peek in sooner] == ([str(first - 1)] if first else [])
    after = await desk.store.browse_from(WORK, desk.now)
    assert list(await desk.store.browse(WORK, after, 1)) == []
    await desk.put("later")
    assert [peek.body for peek in await desk.store.browse(WORK, after, 1)] == [b"later"]


async def test_a_time_is_found_among_messages_that_tell_a_later_one(desk: Desk) -> None:
    """Those that were put off for long, for example: their retention counts from later, and their sending does not."""
    await desk.declare()
    for number in range(30):
        await desk.put(f"m{number}")
        late = desk.a_put(f"late{number}", delay=HOUR)
        envelope = msgspec.structs.replace(late.envelope, sent_at=desk.now)
        await desk.store.apply([msgspec.structs.replace(late, kept_from=late.ready_at, envelope=envelope)])
        desk.turn(SECOND)
    after = await desk.store.browse_from(WORK, START + 11 * SECOND)
    assert [peek.body for peek in await desk.store.browse(WORK, after, 2)] == [b"m11", b"late11"]


async def test_a_time_is_found_among_messages_that_were_moved(desk: Desk) -> None:
    """They tell the time of the move, and have the ids of before."""
    await desk.declare()
    stored = [await desk.put("0")]
    for number in range(1, 40):
        desk.turn(SECOND)
        stored.append(await desk.put(str(number)))
    began = desk.now - 39 * SECOND
    for place in range(0, 40, 3):
        (peek,) = await desk.store.peek(WORK, [stored[place].message])
        assert peek is not None
        move = Move(WORK, peek.state.id, peek.state.lease, WORK, peek.envelope, desk.now, desk.now)
        assert await desk.one(move) is Outcome.DONE
    for number in (1, 2, 11, 20, 38):
        after = await desk.store.browse_from(WORK, began + number * SECOND)
        later = [peek.body for peek in await desk.store.browse(WORK, after, 2)]
        assert str(number).encode() in later


async def test_a_time_in_an_empty_store_is_where_the_next_message_begins(desk: Desk) -> None:
    await desk.declare()
    after = await desk.store.browse_from(WORK, START)
    await desk.put("1")
    assert [peek.body for peek in await desk.store.browse(WORK, after, 1)] == [b"1"]


async def test_messages_are_peeked_at_by_their_ids(desk: Desk) -> None:
    await desk.declare()
    await desk.declare(DEAD)
    first, second = await desk.put_all("1", "2", group="g")
    other = await desk.put("other", queue=DEAD)
    await desk.claim_one()
    browsed = await desk.store.browse(WORK, None, 10)
    ids = [second.message, other.message, first.message, MessageId(999_999_999), second.message]
    found = await desk.store.peek(WORK, ids)
    assert list(found) == [browsed[1], None, browsed[0], None, browsed[1]]
    assert list(await desk.store.peek(WORK, [])) == []
    assert list(await desk.store.peek(NOWHERE, ids[:2])) == [None, None]
    await desk.one(Purge(WORK))
    assert list(await desk.store.peek(WORK, [first.message])) == [None]
