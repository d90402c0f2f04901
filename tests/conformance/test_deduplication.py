"""A message is accepted once within a window, whatever became of it meanwhile."""

from encola.engine.changes import Purge, Stored
from encola.engine.lifecycle import Outcome
from encola.engine.message import Counts, QueueId

from .desk import DEAD, SECOND, WORK, Desk

WINDOW = 300 * SECOND
OTHER = QueueId(5)


async def test_a_repeated_key_is_answered_with_the_first_message(desk: Desk) -> None:
    await desk.declare(ordered=True)
    first = await desk.put("first", key="k")
    desk.turn(SECOND)
    again = await desk.put("another body", key="k")
    assert again == Stored(first.message, "id of first", duplicate=True)
    assert await desk.bodies() == ["first"]


async def test_the_window_ends_when_the_first_message_said(desk: Desk) -> None:
    await desk.declare(ordered=True)
    first = await desk.put("1", key="k", window=WINDOW)
    desk.turn(WINDOW - 1)
    assert (await desk.put("2", key="k", window=WINDOW)).duplicate  # and this does not prolong it
    desk.turn(1)
    second = await desk.put("3", key="k", window=WINDOW)
    assert not second.duplicate
    assert second.message > first.message
    assert await desk.put("4", key="k") == Stored(second.message, "id of 3", duplicate=True)
    assert await desk.bodies() == ["1", "3"]


async def test_the_key_outlives_its_message(desk: Desk) -> None:
    await desk.declare(ordered=True)
    first = await desk.put("1", key="k")
    assert await desk.delete(await desk.claim_one()) is Outcome.DONE
    assert await desk.put("2", key="k") == Stored(first.message, "id of 1", duplicate=True)
    assert await desk.counts() == Counts()


async def test_the_key_outlives_a_restart(desk: Desk) -> None:
    await desk.declare(ordered=True)
    first = await desk.put("1", key="k", window=WINDOW)
    await desk.delete(await desk.claim_one())
    await desk.reopen()
    desk.turn(WINDOW - 1)
    assert await desk.put("2", key="k") == Stored(first.message, "id of 1", duplicate=True)


async def test_the_key_stays_where_it_was_used_when_its_message_moves_on(desk: Desk) -> None:
    await desk.declare(ordered=True)
    await desk.declare(DEAD, ordered=True)
    first = await desk.put("1", key="k")
    await desk.move(await desk.claim_one())
    assert await desk.put("2", key="k") == Stored(first.message, "id of 1", duplicate=True)
    assert not (await desk.put("3", key="k", queue=DEAD)).duplicate


async def test_a_key_may_repeat_within_one_call(desk: Desk) -> None:
    await desk.declare(ordered=True)
    answers = await desk.store.apply([desk.a_put("1", key="k"), desk.a_put("2", key="k"), desk.a_put("3", key="l")])
    assert [answer.duplicate for answer in answers if isinstance(answer, Stored)] == [False, True, False]
    assert await desk.bodies() == ["1", "3"]


async def test_keys_belong_to_one_queue(desk: Desk) -> None:
    await desk.declare(ordered=True)
    await desk.declare(OTHER, ordered=True)
    await desk.put("1", key="k")
    assert not (await desk.put("2", key="k", queue=OTHER)).duplicate


async def test_keys_of_two_groups_are_two_if_they_name_their_group(desk: Desk) -> None:
    """How a caller limits deduplication to a group: the store only compares keys."""
    await desk.declare(ordered=True)
    await desk.put("1", group="a", key="a\0k")
    assert not (await desk.put("2", group="b", key="b\0k")).duplicate
    assert (await desk.put("3", group="a", key="a\0k")).duplicate


async def test_messages_without_a_key_are_never_duplicates(desk: Desk) -> None:
    await desk.declare(ordered=True)
    await desk.put("1", key="k")
    for _ in range(3):
        assert not (await desk.put("1")).duplicate


async def test_purge_forgets_the_keys(desk: Desk) -> None:
    await desk.declare(ordered=True)
    await desk.put("1", key="k")
    assert await desk.one(Purge(WORK)) is Outcome.DONE
    assert not (await desk.put("2", key="k")).duplicate


async def test_a_sweep_forgets_only_keys_whose_window_is_over(desk: Desk) -> None:
    await desk.declare(ordered=True)
    await desk.put("1", key="k", window=WINDOW)
    desk.turn(WINDOW - 1)
    await desk.put("2", key="l", window=WINDOW)
    await desk.sweep()
    assert (await desk.put("3", key="k")).duplicate
    desk.turn(1)
    await desk.sweep()
    assert (await desk.put("4", key="l")).duplicate
    assert not (await desk.put("5", key="k")).duplicate


async def test_a_key_works_on_a_standard_queue_too(desk: Desk) -> None:
    await desk.declare()
    await desk.put("1", key="k", group="g")
    assert (await desk.put("2", key="k")).duplicate
