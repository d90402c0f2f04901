"""Random histories on the memory store and the sqlite store: whatever is asked, both answer the same.

``ENCOLA_HISTORIES=2000`` runs more of them, and other ones each time.
"""

import os
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from encola.engine import records as r
from encola.engine.changes import (
    Amend,
    Claim,
    Declare,
    Deduplication,
    Delete,
    Drop,
    Extend,
    Move,
    Note,
    Purge,
    Put,
    Reject,
    Release,
    Resend,
    Sweep,
)
from encola.engine.lifecycle import Outcome
from encola.engine.message import Envelope, Header, QueueId
from encola.engine.queue import DAY, HOUR, LONG_DELAY, MINUTE, SECOND, Address, Queue, Settings

from .desk import START
from .twins import Twins

HISTORIES = os.environ.get("ENCOLA_HISTORIES")
NOWHERE = QueueId(77)

# What the slots hold: (ordered, retention). Messages are moved to the lasting ones only (see ``twins``).
KINDS = {0: (False, 2 * MINUTE), 1: (False, 4 * DAY), 2: (True, 2 * MINUTE), 3: (True, 4 * DAY)}
LASTING = [1, 3]

slots = st.sampled_from(list(KINDS))
groups = st.sampled_from(["", "a", "a", "b"])
delays = st.sampled_from([0, 0, 0, SECOND, 30 * SECOND])
long_delays = st.sampled_from([0, 0, SECOND, 30 * SECOND, LONG_DELAY, LONG_DELAY + 1])
keys = st.sampled_from([None, None, "k", "l"])
leases = st.sampled_from([0, 1, SECOND, 30 * SECOND, 30 * SECOND, HOUR])
picks = st.integers(0, 12)

# Records: few keys and owners, so that they meet. A key that begins as another is found with it.
ACCOUNTS = ["1", "2"]
record_keys = st.sampled_from(["k", "k2", "l"])
owners = st.sampled_from(["a", "b"])
fences = st.integers(0, 3)
windows = st.sampled_from([0, SECOND, MINUTE, HOUR])
results = st.sampled_from([msgspec.Raw(b"1"), msgspec.Raw(b'{"a":"b"}')])
failures = st.builds(r.Failure, st.just(1), st.just(START), st.just("E"), st.sampled_from(["m", "n"]))
tasks, queues = st.sampled_from(["t", "u"]), st.sampled_from(["q", "p"])
commands = st.one_of(
    st.builds(r.Claim, record_keys, owners, tasks, queues, st.just("h"), leases, windows),
    st.builds(r.Claim, record_keys, owners, tasks, queues, st.just("h"), leases, windows, st.just(2 * START)),
    st.builds(r.Renew, record_keys, owners, fences, leases),
    st.builds(r.Complete, record_keys, owners, fences, windows, results),
    st.builds(r.Fail, record_keys, owners, fences, windows, failures, st.booleans()),
    st.builds(r.Release, record_keys, owners, fences),
    st.builds(r.Cancel, record_keys, tasks, queues, windows),
    st.builds(r.Forget, st.sampled_from(["k", "k2", "l", "s", "p", "j"])),
    st.builds(r.Enter, st.sampled_from(["s", "s", "k"]), owners, st.integers(0, 2), leases),
    st.builds(r.Leave, st.sampled_from(["s", "k"]), owners),
    st.builds(r.Reserve, st.sampled_from(["p", "p", "k"]), st.integers(1, 3), st.just(SECOND * 1000)),
    st.builds(r.Arrive, st.sampled_from(["j", "j", "k"]), st.sampled_from("ab"), st.just(2), windows),
)

puts = st.tuples(st.just("put"), slots, groups, long_delays, keys)
settlements = st.one_of(
    st.tuples(st.just("delete"), picks, st.booleans(), st.booleans()),
    st.tuples(st.just("extend"), picks, leases, st.booleans()),
    st.tuples(st.just("move"), picks, st.sampled_from(LASTING), st.booleans()),
    st.tuples(st.just("resend"), picks, slots, st.sampled_from([None, None, b"", b"edited"]), st.booleans()),
    st.tuples(st.just("release"), picks, long_delays),
    st.tuples(st.just("reject"), picks, st.sampled_from(LASTING), st.booleans()),
)
amendments = st.tuples(st.just("amend"), st.sampled_from(ACCOUNTS), commands)
claims = st.tuples(
    st.just("claim"), slots, st.integers(1, 12), leases, st.lists(groups, max_size=2, unique=True).map(tuple)
)
recipes = st.lists(st.one_of(puts, puts, settlements, amendments), min_size=1, max_size=10)
calls_at_once = st.lists(st.one_of(claims, claims, recipes), min_size=1, max_size=5)
rare = st.one_of(
    st.tuples(st.just("declare"), slots, delays),
    st.tuples(st.just("sweep"), st.sampled_from([1, 3, 1000])),
    st.tuples(st.sampled_from(["restart", "kill"])),
    st.one_of(
        st.tuples(st.just("note"), st.sampled_from("ab"), st.one_of(st.none(), st.binary(max_size=3))),
        st.tuples(st.sampled_from(["purge", "drop"]), slots),
    ),
)


class Histories(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.twins = Twins(Path(tempfile.mkdtemp(prefix="encola-twins-")))
        self.now = START
        self.queues: dict[int, Queue] = {}
        self.held: list[dict[str, Any]] = []  # deliveries that may be open, the latest last, each with its queue
        self.over: list[dict[str, Any]] = []  # deliveries that were settled
        self.made = 0

    @initialize(delay=delays)
    def first_queues(self, delay: int) -> None:
        for slot in KINDS:
            self.declare(slot, delay)

    # What happens --------------------------------------------------------------------------------

    @rule(calls=calls_at_once)
    def call(self, calls: list[Any]) -> None:
        """Several callers at the same moment."""
        made = [self._claim(*call[1:]) if isinstance(call, tuple) else self._changes(call) for call in calls]
        for call, answer in zip(made, self.twins.send(*made), strict=True):
            if isinstance(call, Claim):
                self.held += [delivery | {"queue": call.queue} for delivery in answer]
            else:
                self._settled(call, answer)

    @rule(calls=calls_at_once, milliseconds=st.sampled_from([1, 1, SECOND, 29 * SECOND, 30 * SECOND, 5 * MINUTE]))
    def call_later(self, calls: list[Any], milliseconds: int) -> None:
        self.now += milliseconds
        self.call(calls)

    @rule(calls=calls_at_once, happening=rare)
    def happen(self, calls: list[Any], happening: tuple[Any, ...]) -> None:
        name, *how = happening
        getattr(self, name)(*how)
        self.call(calls)

    def declare(self, slot: int, delay: int) -> None:
        ordered, _ = KINDS[slot]
        known = self.queues.get(slot)
        number = known.id if known else QueueId(10 * self._new() + slot)
        self.queues[slot] = Queue(
            id=number,
            address=Address("1", f"slot-{slot}"),
            ordered=ordered,
            settings=Settings(delay=delay),
            tags={"made": str(self._new())},
            paused=bool(self.made % 2),
            created_at=known.created_at if known else self.now,
            modified_at=self.now,
        )
        self.twins.send([Declare(self.queues[slot])])

    def purge(self, slot: int) -> None:
        self.twins.send([Purge(self._queue(slot))])

    def drop(self, slot: int) -> None:
        self.twins.send([Drop(self._queue(slot))])
        self.queues.pop(slot, None)

    def note(self, key: str, value: bytes | None) -> None:
        self.twins.send([Note("kind", key, value)])

    def sweep(self, limit: int) -> None:
        sent_before = {queue.id: self.now - KINDS[slot][1] for slot, queue in self.queues.items()}
        self.twins.sweep(Sweep(self.now, sent_before, limit))
        self.declare(0, 0)  # so that both have seen this moment, whatever each of them had to sweep

    def restart(self) -> None:
        self.twins.reopen()

    def kill(self) -> None:
        self.twins.kill()

    @invariant()
    def all_answers_agree(self) -> None:
        self.twins.compare({queue.id: KINDS[slot][1] for slot, queue in self.queues.items()}, self.now)
        self.twins.compare_jobs(ACCOUNTS, self.now)

    def teardown(self) -> None:
        self.twins.close()

    # Recipes made into calls ---------------------------------------------------------------------

    def _new(self) -> int:
        self.made += 1
        return self.made

    def _queue(self, slot: int) -> QueueId:
        return self.queues[slot].id if slot in self.queues else NOWHERE

    def _claim(self, slot: int, limit: int, lease: int, noisy: tuple[str, ...]) -> Claim:
        return Claim(self._queue(slot), limit, self.now, self.now + lease, self.now - KINDS[slot][1], noisy)

    def _changes(self, recipes: list[tuple[Any, ...]]) -> list[Any]:
        changes = [getattr(self, f"_{name}")(*how) for name, *how in recipes]
        return [change for change in changes if change is not None]

    def _settled(self, changes: list[Any], outcomes: list[Any]) -> None:
        for change, outcome in zip(changes, outcomes, strict=True):
            if isinstance(change, Delete | Move | Resend | Release | Reject) and outcome in (
                Outcome.DONE,
                Outcome.GONE,
            ):
                self.over += [delivery for delivery in self.held if delivery["id"] == change.message][-1:]
                self.held = [delivery for delivery in self.held if delivery["id"] != change.message]
        del self.over[:-8]

    def _put(self, slot: int, group: str, delay: int, key: str | None) -> Put:
        label = f"m{self._new()}"
        deduplication = Deduplication(key, self.now + 5 * MINUTE) if key else None
        long = delay > LONG_DELAY
        envelope = Envelope(label, group=group, sent_at=self.now if long else 0)
        ready_at = self.now + delay
        kept_from = ready_at if long else 0
        return Put(self._queue(slot), envelope, label.encode() * 3, self.now, ready_at, deduplication, kept_from)

    def _pick(self, pick: int) -> dict[str, Any] | None:
        """A delivery of before, the latest for 0; at times a settled one. None if its message is past retention."""
        deliveries = self.over if pick == 12 else self.held
        if not deliveries:
            return None
        delivery = deliveries[-1 - pick % len(deliveries)]
        kept = next((KINDS[slot][1] for slot, queue in self.queues.items() if queue.id == delivery["queue"]), HOUR)
        return delivery if delivery["sent_at"] >= self.now - kept else None

    def _delete(self, pick: int, live_lease: bool, unheld: bool) -> Any:
        if held := self._pick(pick):
            return Delete(held["queue"], held["id"], held["lease"], self.now, live_lease, unheld)
        return None

    def _extend(self, pick: int, lease: int, uncounted: bool) -> Any:
        if held := self._pick(pick):
            until = self.now + lease
            return Extend(held["queue"], held["id"], held["lease"], until, self.now, HOUR, uncounted)
        return None

    def _move(self, pick: int, slot: int, regroup: bool) -> Any:
        if held := self._pick(pick):
            old = held["envelope"]
            envelope = Envelope(old.message_id, group="moved" if regroup else old.group, dead_letter_source="1/s")
            sent_at = self.now if KINDS[slot][0] else held["sent_at"]
            return Move(held["queue"], held["id"], held["lease"], self._queue(slot), envelope, sent_at, self.now)
        return None

    def _release(self, pick: int, delay: int) -> Any:
        if held := self._pick(pick):
            return Release(held["queue"], held["id"], held["lease"], self.now + delay, self.now)
        return None

    def _reject(self, pick: int, slot: int, live_lease: bool) -> Any:
        if held := self._pick(pick):
            why = {"why": Header("String", b"bad")}
            target = self._queue(slot)
            return Reject(held["queue"], held["id"], held["lease"], target, why, self.now, live_lease)
        return None

    def _amend(self, account: str, command: r.Command) -> Amend:
        return Amend(account, command, self.now)

    def _resend(self, pick: int, slot: int, body: bytes | None, unheld: bool) -> Any:
        if held := self._pick(pick):
            envelope = Envelope(f"m{self._new()}", group=held["envelope"].group)
            target = self._queue(slot)
            return Resend(held["queue"], held["id"], held["lease"], target, envelope, self.now, body, unheld)
        return None


Histories.TestCase.settings = settings(
    max_examples=int(HISTORIES or 100),
    stateful_step_count=40,
    derandomize=not HISTORIES,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)

TestHistories = pytest.mark.slow(pytest.mark.timeout(900)(Histories.TestCase))  # a failing history is shrunk first
