"""The messages of jobs that failed for good: found on dead-letter queues, and brought back under the same job.

A message lies at the place of its id, which it got when it was sent; so a job's is looked for from the start of its
last attempt backwards, and only so far. Nobody leases anything (see ``broker.hands``).
"""

from collections import OrderedDict

import msgspec

from encola.broker.broker import Broker
from encola.consumers import letters as rules
from encola.dashboard.looking import Budget, Stop, through
from encola.engine.lifecycle import Outcome
from encola.engine.message import Instant, MessageId, Peek, size_of
from encola.engine.queue import Address, Queue
from encola.engine.records import Job

GLANCE = Budget(3_000, 0.2)
"""What a page may look at to show where a job's message is."""

SEARCH = Budget(100_000, 5.0)
"""What an act may look at to find it."""

KNOWN_MAX = 1_000
LOOK_AGAIN_FACTOR, LOOK_AGAIN_MIN = 20, 1_000
"""A message that was not found is looked for again after so many times what the look took, at least a second: it may be
on its way, since the record of a job is told first."""

NEAR: Instant = 2_000


class Letter(msgspec.Struct):
    """``home`` is where it goes back to; ``peek`` is None if it was not found, ``stop`` why the look ended."""

    home: Queue
    queue: Queue
    peek: Peek | None
    stop: Stop


class _Known(msgspec.Struct):
    again_at: Instant
    changed_at: Instant
    message: MessageId | None
    stop: Stop


class Letters:
    """See the module. Remembers where messages were, so that an open page costs little."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._known: OrderedDict[tuple[str, str], _Known] = OrderedDict()

    def route(self, account: str, queue: str) -> tuple[Queue, Queue] | None:
        """A queue of jobs and its dead-letter queue; None if there is none, or either is gone."""
        home = self._broker.find(Address(account, queue)) if queue else None
        rule = home.settings.dead_letter if home else None
        target = self._broker.find(rule.target) if rule else None
        return (home, target) if home is not None and target is not None else None

    async def glance(self, account: str, job: Job) -> Letter | None:
        """Where a job's message is, as far as a page may look. None: there is no such queue. Raises StoreError."""
        route = self.route(account, job.queue)
        if route is None:
            return None
        home, queue = route
        key, now = (account, job.key), self._broker.clock.now()
        known = self._known.get(key)
        if known is not None and known.changed_at == job.updated_at:
            if known.message is None and now < known.again_at:
                return Letter(home, queue, None, known.stop)
            peek = await self._broker.peek(queue, known.message) if known.message is not None else None
            if peek is not None and _is_of(peek, job.key):
                return Letter(home, queue, peek, "enough")
        letter = await self.find(home, queue, job, GLANCE)
        message = letter.peek.state.id if letter.peek else None
        ended = self._broker.clock.now()
        again_at = ended + max(LOOK_AGAIN_MIN, LOOK_AGAIN_FACTOR * (ended - now))
        self._known[key] = _Known(again_at, job.updated_at, message, letter.stop)
        self._known.move_to_end(key)
        if len(self._known) > KNOWN_MAX:
            self._known.popitem(last=False)
        return letter

    async def find(self, home: Queue, queue: Queue, job: Job, budget: Budget = SEARCH) -> Letter:
        """Looks for a job's message on the dead-letter queue. Raises StoreError."""
        found: list[Peek] = []

        def look(peek: Peek) -> bool:
            if _is_of(peek, job.key):
                found.append(peek)
            return not found

        last = await self._broker.browse_from(queue, job.started_at + NEAR)
        looked_at, _, stop = await through(
            self._broker, queue, look, MessageId(last + 1), newest_first=True, budget=budget
        )
        if stop == "end" and looked_at < budget.messages:  # nothing before; clocks differ, and times of FIFO queues too
            rest = Budget(budget.messages - looked_at, budget.seconds)
            _, _, stop = await through(self._broker, queue, look, last, budget=rest)
        return Letter(home, queue, found[0] if found else None, stop)

    async def bring_back(self, home: Queue, queue: Queue, peek: Peek, key: str) -> Outcome:
        """Sends a message again, as it was, under the same job. Raises StoreError, TooLargeError."""
        body = peek.body.decode("utf-8", "replace")
        again = rules.body_again(body, key)
        headers = rules.kept(peek.envelope.headers)
        changed = again.encode() if again is not body else None
        if changed is not None and size_of(changed, headers) > home.settings.message_bytes_max:
            raise TooLargeError
        (outcome,) = await self._broker.hands.resend(queue, [peek], home, body=changed, headers=headers)
        return outcome


class TooLargeError(Exception):
    """With the name of its job the message would be larger than its queue takes."""


def _is_of(peek: Peek, key: str) -> bool:
    return rules.is_of(peek.body, peek.envelope.message_id, key)
