"""The audit log: who did what, when. Every action of the dashboard is noted before it is answered.

An entry goes to the log (logger ``encola.audit``), where the operator's own system keeps it for as long as he likes,
and to the store, where the newest are kept for the page that shows them.
"""

import logging
from collections import deque
from collections.abc import Sequence

import msgspec

from encola.broker.broker import Broker
from encola.engine.message import Instant

KEPT_MAX = 2_000
"""Entries that the page can show."""

TEXT_LENGTH_MAX = 500
KIND = "audit"

_log = logging.getLogger("encola.audit")


class Entry(msgspec.Struct, array_like=True):
    """``what`` is an act in the words of the API (``PurgeQueue``), ``on`` its object, ``detail`` what else matters.

    ``outcome`` is "done", or why it was refused.
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
    """See the module."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._entries: deque[Entry] = deque()
        self._keys: deque[str] = deque()

    async def open(self) -> None:
        """Reads what is kept."""
        notes = await self._broker.notes(KIND)
        for key in sorted(notes):
            self._entries.append(msgspec.msgpack.decode(notes[key], type=Entry))
            self._keys.append(key)

    async def note(self, entry: Entry) -> None:
        """Durable on return. Raises StoreError."""
        entry.detail = entry.detail[:TEXT_LENGTH_MAX]
        entry.on = entry.on[:TEXT_LENGTH_MAX]
        key = self._next_key(entry.at)
        changes: dict[str, bytes | None] = {key: msgspec.msgpack.encode(entry)}
        forgotten = [self._keys[index] for index in range(max(0, len(self._keys) + 1 - KEPT_MAX))]
        changes |= dict.fromkeys(forgotten)
        self._entries.append(entry)
        self._keys.append(key)
        for _ in forgotten:
            self._entries.popleft()
            self._keys.popleft()
        fields = {name: getattr(entry, name) for name in entry.__struct_fields__}
        _log.info("%s %s", entry.what, entry.on, extra={"fields": fields})
        await self._broker.keep(KIND, changes)

    def _next_key(self, at: Instant) -> str:
        """Sorts by time; two entries of one moment are told apart."""
        key = f"{at:015d}-000000"
        if self._keys and key <= self._keys[-1]:
            moment, _, number = self._keys[-1].partition("-")
            key = f"{moment}-{int(number) + 1:06d}"
        return key

    def newest(self, account: str, limit: int, search: str = "") -> Sequence[Entry]:
        """The newest first; ``search`` is looked for in who, what, on what and the detail."""
        wanted = search.lower()
        found: list[Entry] = []
        for entry in reversed(self._entries):
            if entry.account == account and wanted in f"{entry.who} {entry.what} {entry.on} {entry.detail}".lower():
                found.append(entry)
                if len(found) >= limit:
                    break
        return found
