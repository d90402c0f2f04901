"""What an operator does to single messages that he has found by browsing: deletes them, or sends them again.

He holds no lease. What he saw is told by the number of the message's last lease: if a consumer got it since, or has it
now, it is left alone, and the outcome says so (STALE, HELD). A message is sent again as a redrive does it (``moves``),
in one step: it is never on both queues, and never on neither.
"""

from collections.abc import Mapping, Sequence

import msgspec

from encola.broker.clock import Clock
from encola.broker.message_ids import MessageIds
from encola.broker.registry import Registry
from encola.engine.changes import Applied, Change, Delete, Resend
from encola.engine.lifecycle import Outcome
from encola.engine.message import Envelope, Header, MessageId, Peek, Receipt
from encola.engine.queue import Address, Queue
from encola.engine.store import Store

BATCH_MAX = 50
"""Messages in one transaction: nobody's message waits long behind an operator."""

Chosen = Peek | Receipt | tuple[MessageId, int]
"""A message, and the number of its last lease when it was looked at."""


class Hands:
    """See the module. Outcomes are in the order of what was chosen."""

    def __init__(self, store: Store, clock: Clock, registry: Registry, message_ids: MessageIds) -> None:
        self._store = store
        self._clock = clock
        self._registry = registry
        self._message_ids = message_ids

    async def delete(self, queue: Queue, chosen: Sequence[Chosen]) -> list[Outcome]:
        """Deletes messages. DONE, GONE, STALE or HELD; up to ``BATCH_MAX`` in one transaction. Raises StoreError."""
        outcomes: list[Outcome] = []
        for batch in _batches(chosen):
            now = self._clock.now()
            outcomes += _outcomes(
                await self._store.apply([Delete(queue.id, *_seen(one), now, unheld=True) for one in batch])
            )
        return outcomes

    async def resend(
        self,
        source: Queue,
        chosen: Sequence[Chosen],
        target: Queue | None = None,
        *,
        body: bytes | None = None,
        headers: Mapping[str, Header] | None = None,
    ) -> list[Outcome]:
        """Replaces messages by new ones on ``target``, or on the queues that they were dead-lettered from.

        ``body`` and ``headers`` take the place of their own: the caller has checked them as those of any message that
        is sent to ``target_of``. DONE, GONE, STALE, HELD or NO_TARGET; up to ``BATCH_MAX`` in one transaction. Raises
        StoreError.
        """
        outcomes: list[Outcome] = []
        for batch in _batches(chosen):
            outcomes += await self._resend(source, batch, target, body, headers)
        return outcomes

    async def _resend(
        self,
        source: Queue,
        chosen: Sequence[Chosen],
        target: Queue | None,
        body: bytes | None,
        headers: Mapping[str, Header] | None,
    ) -> list[Outcome]:
        envelopes = await self._envelopes(source, chosen)
        now = self._clock.now()
        outcomes = [Outcome.GONE] * len(chosen)
        changes: list[Change] = []
        places: list[int] = []
        for place, (one, envelope) in enumerate(zip(chosen, envelopes, strict=True)):
            if envelope is None:
                continue
            to = self._target(source, envelope, target)
            if to is None:
                outcomes[place] = Outcome.NO_TARGET
                continue
            renewed = self._renewed(envelope, headers)
            changes.append(Resend(source.id, *_seen(one), to.id, renewed, now, body, unheld=True))
            places.append(place)
        if changes:
            for place, outcome in zip(places, _outcomes(await self._store.apply(changes)), strict=True):
                outcomes[place] = outcome
        return outcomes

    async def _envelopes(self, source: Queue, chosen: Sequence[Chosen]) -> list[Envelope | None]:
        """Those that were looked at may be taken as they are: an envelope changes with the number of the lease only."""
        unknown = [_seen(one)[0] for one in chosen if not isinstance(one, Peek)]
        read = iter(await self._store.peek(source.id, unknown) if unknown else ())
        peeks = [one if isinstance(one, Peek) else next(read) for one in chosen]
        return [None if peek is None else peek.envelope for peek in peeks]

    def target_of(self, source: Queue, peek: Peek, target: Queue | None = None) -> Queue | None:
        """Where ``resend`` would send a message; None where there is no such queue, or it is of another kind."""
        return self._target(source, peek.envelope, target)

    def _target(self, source: Queue, envelope: Envelope, target: Queue | None) -> Queue | None:
        if target is not None:
            found = self._registry.by_id(target.id)
        elif envelope.dead_letter_source:
            found = self._registry.find(Address.parse(envelope.dead_letter_source))
        else:
            found = None
        return found if found is not None and found.ordered is source.ordered else None

    def _renewed(self, envelope: Envelope, headers: Mapping[str, Header] | None) -> Envelope:
        return msgspec.structs.replace(
            envelope,
            message_id=self._message_ids.new(),
            dead_letter_source="",
            sent_at=0,
            headers=envelope.headers if headers is None else dict(headers),
        )


def _seen(chosen: Chosen) -> tuple[MessageId, int]:
    """The id of a message and the number of its last lease."""
    if isinstance(chosen, Peek):
        return chosen.state.id, chosen.state.lease
    if isinstance(chosen, Receipt):
        return chosen.message, chosen.lease
    return chosen


def _batches(chosen: Sequence[Chosen]) -> list[Sequence[Chosen]]:
    return [chosen[start : start + BATCH_MAX] for start in range(0, len(chosen), BATCH_MAX)]


def _outcomes(applied: Sequence[Applied]) -> list[Outcome]:
    return [outcome for outcome in applied if isinstance(outcome, Outcome)]  # all of them are
