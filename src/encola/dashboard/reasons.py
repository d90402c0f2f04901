"""Why a message is on a dead-letter queue, and groups of those that are there for one reason. Pure.

The runtime says why when it rejects a message (attributes ``encola.reason`` and ``encola.error``). A message that was
only received too often says nowhere why; what is known is the queue that it came from.
"""

import re

import msgspec

from encola.dashboard.bodies import visible
from encola.engine.message import Envelope, Header, Instant, MessageId, Peek
from encola.engine.queue import Address
from encola.protocols.sqs.extensions import ERROR, REASON

TOO_OFTEN = "received too often"
SENT_HERE = "sent to this queue"

GROUPS_MAX = 100
LINE_LENGTH_MAX = 200

_VARIES = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|0x[0-9a-fA-F]+|\b[0-9a-f]{12,}\b|\d+")


class Why(msgspec.Struct, frozen=True):
    """``source`` is the name of the queue that it came from, if known; ``error`` the first line of what went wrong."""

    reason: str
    source: str
    error: str

    @property
    def kind(self) -> str:
        """The error without what differs from message to message: numbers, ids."""
        return _VARIES.sub("#", self.error)


class Group(msgspec.Struct):
    """Messages that are there for one reason. ``example`` is the error's first line of the newest of them."""

    reason: str
    source: str
    kind: str
    example: str
    count: int
    newest: MessageId
    newest_at: Instant
    oldest: MessageId
    oldest_at: Instant


def text_of(header: Header | None) -> str:
    return header.value.decode("utf-8", "replace") if header is not None else ""


def sent_at(peek: Peek) -> Instant:
    """When it was sent, also if its retention counts from later."""
    return peek.envelope.sent_at or peek.state.sent_at


def source_of(envelope: Envelope) -> str:
    return Address.parse(envelope.dead_letter_source).name if envelope.dead_letter_source else ""


def why(peek: Peek) -> Why:
    envelope = peek.envelope
    source = source_of(envelope)
    reason = text_of(envelope.headers.get(REASON)) or (TOO_OFTEN if source else SENT_HERE)
    lines = text_of(envelope.headers.get(ERROR)).strip().splitlines()
    return Why(visible(reason), source, visible(lines[0])[:LINE_LENGTH_MAX] if lines else "")


class Groups:
    """Counts messages by why they are here. ``others`` are those beyond so many groups."""

    def __init__(self) -> None:
        self._groups: dict[tuple[str, str, str], Group] = {}
        self.others = 0

    def add(self, peek: Peek) -> None:
        """Counts one more, whatever the order in which they are looked at."""
        """Puts a message into its group; a group tells its newest and its oldest, and the error of the newest."""
        reason, at, message = why(peek), sent_at(peek), peek.state.id
        key = (reason.reason, reason.source, reason.kind)
        group = self._groups.get(key)
        if group is None:
            if len(self._groups) >= GROUPS_MAX:
                self.others += 1
                return
            self._groups[key] = Group(*key, reason.error, 1, message, at, message, at)
            return
        group.count += 1
        if (at, message) > (group.newest_at, group.newest):
            group.newest, group.newest_at, group.example = message, at, reason.error
        if (at, message) < (group.oldest_at, group.oldest):
            group.oldest, group.oldest_at = message, at

    def largest_first(self) -> list[Group]:
        return sorted(self._groups.values(), key=lambda group: (-group.count, group.reason, group.source, group.kind))
