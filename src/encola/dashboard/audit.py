"""The audit log: who did what, when. Every action of the dashboard is noted before it is answered.

An entry goes to the log (logger ``encola.audit``), where the operator's own system keeps it for as long as he likes,
and to the store, where the newest are kept for the page that shows them.
"""

import heapq
import logging
from collections import deque
from collections.abc import Iterator, Sequence

import msgspec

from encola.broker.broker import Broker
from encola.engine.message import Instant

KEPT_MAX = 2_000
"""Entries that the page can show."""

TEXT_LENGTH_MAX = 500
KIND, KIND_REFUSED = "audit", "audit-refused"
REFUSED_MAX = 500
"""Refused acts that the page can show."""

DONE, BEGUN = "done", "begun"

_log = logging.getLogger("encola.audit")


class Entry(msgspec.Struct, array_like=True):
    """``what`` is an act in the words of the API (``PurgeQueue``), ``on`` its object, ``detail`` what else matters.

    ``outcome`` is "done" ("begun" for what takes long), or why it was refused.
    """

    at: Instant
    account: str
    who: str
    address: str
    what: str
    on: str
    detail: str = ""
    outcome: str = "done"


class Audit:
    """See the module. What was refused is kept apart, and less of it: whoever may do nothing must not be able to make
    the log forget what others did."""

    def __init__(self, broker: Broker) -> None:
        self._done = _Ring(broker, KIND, KEPT_MAX)
        self._refused = _Ring(broker, KIND_REFUSED, REFUSED_MAX)

    async def open(self) -> None:
        """Reads what is kept."""
        for ring in (self._done, self._refused):
            await ring.open()

    async def note(self, entry: Entry) -> None:
        """Durable on return. Raises StoreError."""
        entry.detail = entry.detail[:TEXT_LENGTH_MAX]
        entry.on = entry.on[:TEXT_LENGTH_MAX]
        fields = {name: getattr(entry, name) for name in entry.__struct_fields__}
        _log.info("%s %s", entry.what, entry.on, extra={"fields": fields})
        ring = self._done if entry.outcome in (DONE, BEGUN) else self._refused
        await ring.add(entry)

    def newest(self, account: str, limit: int, search: str = "") -> Sequence[Entry]:
        """The newest first; ``search`` is looked for in all that an entry says."""
        wanted = search.lower()
        found: list[Entry] = []
        entries = heapq.merge(self._done.newest(), self._refused.newest(), key=lambda entry: -entry.at)
        for entry in entries:
            said = (entry.who, entry.address, entry.what, entry.on, entry.detail, entry.outcome)
            if entry.account == account and wanted in " ".join(said).lower():
                found.append(entry)
                if len(found) >= limit:
                    break
        return found


class _Ring:
    """The newest entries of a kind, in memory and in the store."""

    def __init__(self, broker: Broker, kind: str, kept_max: int) -> None:
        self._kind = kind
        self._broker = broker
        self._kept_max = kept_max
        self._entries: deque[Entry] = deque()
        self._keys: deque[str] = deque()

    async def open(self) -> None:
        notes = await self._broker.notes(self._kind)
        for key in sorted(notes):
            self._entries.append(msgspec.msgpack.decode(notes[key], type=Entry))
            self._keys.append(key)

    async def add(self, entry: Entry) -> None:
        key = self._next_key(entry.at)
        changes: dict[str, bytes | None] = {key: msgspec.msgpack.encode(entry)}
        self._entries.append(entry)
        self._keys.append(key)
        while len(self._keys) > self._kept_max:
            changes[self._keys.popleft()] = None
            self._entries.popleft()
        await self._broker.keep(self._kind, changes)

    def newest(self) -> Iterator[Entry]:
        return reversed(self._entries)

    def _next_key(self, at: Instant) -> str:
        """Sorts by time; two entries of one moment are told apart."""
        key = f"{at:015d}-000000"
        if self._keys and key <= self._keys[-1]:
            moment, _, number = self._keys[-1].partition("-")
            key = f"{moment}-{int(number) + 1:06d}"
        return key
