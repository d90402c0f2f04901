"""Messages that an operator has found are deleted and sent again, and no consumer loses what he holds."""

import asyncio
import random
from typing import Any

import pytest

from encola.broker import hands
from encola.broker.broker import Broker, Draft
from encola.engine.lifecycle import Outcome
from encola.engine.message import Counts, Delivery, Header, MessageId, Peek, Receipt
from encola.engine.queue import DeadLetterRule, Queue
from encola.engine.store import Store

from .conftest import NewQueue, TestClock
from .test_messages import bodies, drafts
from .test_moves import dead_letters
from .test_ordered import draft

DONE, GONE, STALE, HELD, NO_TARGET = (
    Outcome.DONE,
    Outcome.GONE,
    Outcome.STALE,
    Outcome.HELD,
    Outcome.NO_TARGET,
)


async def all_of(broker: Broker, queue: Queue) -> list[Peek]:
    return list(await broker.browse(queue, None, 10_000))


async def texts(broker: Broker, queue: Queue) -> list[str]:
    return [peek.body.decode() for peek in await all_of(broker, queue)]


# Deleting -----------------------------------------------------------------------------------------


async def test_chosen_messages_are_deleted_and_the_others_stay(broker: Broker, new_queue: NewQueue) -> None:
    queue = await new_queue()
    await broker.send(queue, drafts(*"abcdef"))
    a, b, c, d, _, _ = await all_of(broker, queue)
    chosen: list[hands.Chosen] = [a, Receipt(b.state.id, 0), (c.state.id, 0), (d.state.id, 1), (MessageId(999), 0), a]
    assert await broker.hands.delete(queue, chosen) == [DONE, DONE, DONE, STALE, GONE, GONE]
    assert await texts(broker, queue) == ["d", "e", "f"]
    assert await broker.hands.delete(queue, []) == []


async def test_a_message_in_flight_is_left_to_its_consumer(broker: Broker, new_queue: NewQueue) -> None:
    queue = await new_queue()
    await broker.send(queue, drafts("a"))
    (before,) = await all_of(broker, queue)
    (delivery,) = await broker.receive(queue, limit=1)
    (during,) = await all_of(broker, queue)
    assert await broker.hands.delete(queue, [before, during]) == [STALE, HELD]
    assert await broker.hands.resend(queue, [before, during], queue) == [STALE, HELD]
    assert await broker.delete(queue, [delivery.receipt]) == [DONE]


async def test_many_are_done_in_small_transactions(
    broker: Broker, new_queue: NewQueue, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hands, "BATCH_MAX", 4)
    queue, other = await new_queue(), await new_queue("other")
    await broker.send(queue, drafts(*"abcdefghij"))
    sizes: list[int] = []
    apply_plainly = store.apply

    def apply(changes: Any) -> Any:
        sizes.append(len(changes))
        return apply_plainly(changes)

    monkeypatch.setattr(store, "apply", apply)
    peeks = await all_of(broker, queue)
    assert await broker.hands.delete(queue, peeks[:5]) == [DONE] * 5
    assert await broker.hands.resend(queue, peeks[3:], other) == [GONE] * 2 + [DONE] * 5
    assert sizes == [4, 1, 4, 3]
    assert await texts(broker, other) == list("fghij")


# Sending again ------------------------------------------------------------------------------------


async def test_dead_letters_go_back_to_where_they_came_from(broker: Broker, new_queue: NewQueue) -> None:
    queue, dead = await dead_letters(broker, new_queue, 5)
    peeks = await all_of(broker, dead)
    assert [broker.hands.target_of(dead, peek) for peek in peeks] == [queue] * 5
    by_receipt = [Receipt(peek.state.id, peek.state.lease) for peek in peeks[2:4]]
    assert await broker.hands.resend(dead, [peeks[1], *by_receipt]) == [DONE] * 3
    assert await texts(broker, dead) == ["m0", "m4"]
    got = await broker.receive(queue, limit=10)
    assert [(d.body, d.receives, d.envelope.dead_letter_source) for d in got] == [
        (f"m{number}".encode(), 1, "") for number in (1, 2, 3)
    ]
    assert not {d.envelope.message_id for d in got} & {peek.envelope.message_id for peek in peeks}
    assert await broker.hands.resend(dead, peeks[:2]) == [DONE, GONE]


async def test_a_message_is_sent_again_to_another_queue(broker: Broker, new_queue: NewQueue) -> None:
    _, dead = await dead_letters(broker, new_queue, 2)
    other = await new_queue("other")
    peeks = await all_of(broker, dead)
    assert broker.hands.target_of(dead, peeks[0], other) == other
    assert await broker.hands.resend(dead, peeks[:1], other) == [DONE]
    assert (await texts(broker, other), await texts(broker, dead)) == (["m0"], ["m1"])


async def test_what_was_edited_takes_the_place_of_what_was_sent(broker: Broker, new_queue: NewQueue) -> None:
    dead = await new_queue("dead")
    queue = await new_queue(dead_letter=DeadLetterRule(dead.address, max_receives=1))
    await broker.send(queue, [Draft(b"{bad", "me", headers={"a": Header("String", b"1")}) for _ in range(3)])
    received = await broker.receive(queue, limit=3)
    await broker.reject(queue, [(one.receipt, {}) for one in received])
    peeks = await all_of(broker, dead)
    new = {"b": Header("Number", b"2")}
    assert await broker.hands.resend(dead, peeks[:1], body=b"{}", headers=new) == [DONE]
    assert await broker.hands.resend(dead, peeks[1:2], body=b"") == [DONE]
    assert await broker.hands.resend(dead, peeks[2:], headers={}) == [DONE]
    old = {"a": Header("String", b"1")}
    found = [(d.body, d.envelope.headers, d.envelope.sender) for d in await broker.receive(queue, limit=10)]
    assert found == [(b"{}", new, "me"), (b"", old, "me"), (b"{bad", {}, "me")]


async def test_a_message_without_a_way_back_stays(broker: Broker, new_queue: NewQueue, clock: TestClock) -> None:
    queue, dead = await dead_letters(broker, new_queue, 1)
    other, fifo = await new_queue("other"), await new_queue("other.fifo", ordered=True)
    await broker.send(dead, drafts("sent here by hand"))
    peeks = await all_of(broker, dead)
    assert await broker.hands.resend(dead, peeks[1:]) == [NO_TARGET]
    assert await broker.hands.resend(dead, peeks, fifo) == [NO_TARGET] * 2
    await broker.drop(queue)
    await broker.drop(other)
    assert await broker.hands.resend(dead, peeks) == [NO_TARGET] * 2
    assert await broker.hands.resend(dead, peeks, other) == [NO_TARGET] * 2
    assert [broker.hands.target_of(dead, peek) for peek in peeks] == [None, None]
    assert await texts(broker, dead) == ["m0", "sent here by hand"]
    clock.turn(60_000)
    await new_queue("work", ordered=True)  # of its name, and of another kind
    assert await broker.hands.resend(dead, peeks[:1]) == [NO_TARGET]


async def test_on_ordered_queues_a_message_keeps_its_group_and_is_no_duplicate(
    broker: Broker, new_queue: NewQueue
) -> None:
    dead = await new_queue("dead.fifo", ordered=True)
    queue = await new_queue("work.fifo", ordered=True, dead_letter=DeadLetterRule(dead.address, max_receives=9))
    await broker.send(queue, [draft("1"), draft("2"), draft("other", group="h")])
    first, second, _ = await broker.receive(queue, limit=10)
    await broker.reject(queue, [(first.receipt, {}), (second.receipt, {})])
    await broker.send(queue, [draft("3")])
    one, two = await all_of(broker, dead)
    # Its deduplication id was accepted a moment ago, and again it is: a redrive asks for no deduplication.
    assert await broker.hands.resend(dead, [two, one]) == [DONE, DONE]
    got = await broker.receive(queue, limit=10)
    assert bodies(got) == ["3", "2", "1"]
    assert {d.envelope.group for d in got} == {"g"}


async def test_a_message_is_sent_again_at_the_end_of_its_own_queue(broker: Broker, new_queue: NewQueue) -> None:
    queue = await new_queue()
    await broker.send(queue, drafts("a", "b"))
    (a, _) = await all_of(broker, queue)
    assert await broker.hands.resend(queue, [a], queue, body=b"edited") == [DONE]
    assert await texts(broker, queue) == ["b", "edited"]


async def test_a_paused_queue_is_in_an_operators_hands(broker: Broker, new_queue: NewQueue) -> None:
    queue, dead = await dead_letters(broker, new_queue, 3)
    await broker.pause(queue)
    await broker.pause(dead)
    peeks = await all_of(broker, dead)
    assert await broker.hands.resend(dead, peeks[:2]) == [DONE, DONE]
    assert await broker.hands.delete(dead, peeks[2:]) == [DONE]
    assert await broker.counts(dead) == Counts()
    assert list(await broker.receive(queue, limit=10)) == []
    await broker.resume(queue)
    assert len(await broker.receive(queue, limit=10)) == 2


async def test_who_waits_gets_what_is_sent_again_at_once(broker: Broker, new_queue: NewQueue) -> None:
    queue, dead = await dead_letters(broker, new_queue, 1)
    poll = asyncio.create_task(broker.receive(queue, limit=1, wait=20_000))
    await asyncio.sleep(0)
    await broker.hands.resend(dead, await all_of(broker, dead))
    assert bodies(await asyncio.wait_for(poll, 10)) == ["m0"]


# Browsing -----------------------------------------------------------------------------------------


async def test_a_queue_is_browsed_from_both_ends_and_from_a_time(
    broker: Broker, new_queue: NewQueue, clock: TestClock
) -> None:
    queue = await new_queue()
    sent_at = []
    for number in range(6):
        sent_at.append(clock.now())
        await broker.send(queue, drafts(str(number)))
        clock.turn(1000)
    newest = await broker.browse(queue, limit=2, newest_first=True)
    assert [peek.body for peek in newest] == [b"5", b"4"]
    older = await broker.browse(queue, newest[-1].state.id, 10, newest_first=True)
    assert [peek.body for peek in older] == [b"3", b"2", b"1", b"0"]
    after = await broker.browse_from(queue, sent_at[4])
    assert [peek.body for peek in await broker.browse(queue, after)] == [b"4", b"5"]
    assert await broker.peek(queue, newest[0].state.id) == newest[0]
    assert await broker.peek(queue, MessageId(999)) is None


# Races --------------------------------------------------------------------------------------------


class Town:
    """Messages on two queues, consumers who take and settle them, operators who send them back and forth.

    Every message has a name. A consumer that deletes one has done it; nobody else may have it then, or meanwhile.
    """

    def __init__(self, broker: Broker, one: Queue, other: Queue, seed: int) -> None:
        self.broker = broker
        self.queues = (one, other)
        self.random = random.Random(seed)
        self.done: list[str] = []
        self.removed: list[str] = []
        self.outcomes: set[Outcome] = set()
        self.over = False

    async def consume(self) -> None:
        while not self.over:
            queue = self.random.choice(self.queues)
            deliveries = await self.broker.receive(queue, limit=self.random.randint(1, 4), lease=60_000)
            for delivery in deliveries:
                await self._settle(queue, delivery)
            await asyncio.sleep(0)

    async def _settle(self, queue: Queue, delivery: Delivery) -> None:
        for _ in range(self.random.randint(0, 3)):  # he works, and operators come by
            await asyncio.sleep(0)
        if self.random.random() < 0.2:
            (outcome,) = await self.broker.delete(queue, [delivery.receipt])
            self.done.append(delivery.body.decode())
        else:
            (outcome,) = await self.broker.extend(queue, [(delivery.receipt, 0)])
        assert outcome is DONE  # nobody took from him what he held

    async def operate(self) -> None:
        while not self.over:
            source, target = self.random.sample(self.queues, 2)
            newest = self.random.random() < 0.5
            peeks = await self.broker.browse(source, None, self.random.randint(1, 6), newest_first=newest)
            for _ in range(self.random.randint(0, 3)):
                await asyncio.sleep(0)
            chosen: list[hands.Chosen] = [
                peek if self.random.random() < 0.5 else (peek.state.id, peek.state.lease) for peek in peeks
            ]
            if self.random.random() < 0.05:
                outcomes = await self.broker.hands.delete(source, chosen)
                self.removed += [p.body.decode() for p, o in zip(peeks, outcomes, strict=True) if o is DONE]
            else:
                outcomes = await self.broker.hands.resend(source, chosen, target)
            self.outcomes.update(outcomes)
            await asyncio.sleep(0)

    async def left(self) -> list[str]:
        return [text for queue in self.queues for text in await texts(self.broker, queue)]


@pytest.mark.parametrize("ordered", [False, True], ids=["standard", "ordered"])
@pytest.mark.parametrize("seed", range(3))
async def test_no_message_is_lost_or_doubled_while_all_have_their_hands_on_it(
    broker: Broker, new_queue: NewQueue, ordered: bool, seed: int
) -> None:
    one, other = await new_queue("one", ordered=ordered), await new_queue("other", ordered=ordered)
    names = [f"m{number}" for number in range(120)]
    for start in range(0, 120, 10):
        await broker.send(
            one,
            [
                Draft(name.encode(), group=f"g{len(name) + int(name[-1]) % 3}" if ordered else "")
                for name in names[start : start + 10]
            ],
        )
    town = Town(broker, one, other, seed)
    people = [asyncio.create_task(town.consume()) for _ in range(3)]
    people += [asyncio.create_task(town.operate()) for _ in range(3)]
    async with asyncio.timeout(60):
        while len(town.done) + len(town.removed) < 60 and not any(person.done() for person in people):
            await asyncio.sleep(0)
    town.over = True
    await asyncio.wait_for(asyncio.gather(*people), 30)
    assert sorted(town.done + town.removed + await town.left()) == sorted(names)
    assert DONE in town.outcomes
    assert town.outcomes & {STALE, HELD, GONE}  # they did meet


async def test_an_operator_who_hangs_up_leaves_each_message_on_one_queue(broker: Broker, new_queue: NewQueue) -> None:
    queue, dead = await dead_letters(broker, new_queue, 3)
    peeks = await all_of(broker, dead)
    sending = asyncio.create_task(broker.hands.resend(dead, peeks))
    await asyncio.sleep(0)
    sending.cancel()  # the operator hangs up
    await asyncio.gather(sending, return_exceptions=True)
    await broker.send(queue, drafts("after"))
    found = sorted(await texts(broker, queue) + await texts(broker, dead))
    assert found == ["after", "m0", "m1", "m2"]
