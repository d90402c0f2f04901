"""Which messages may go next: the order within a group, and among groups.

Every message waits in a *lane* of its queue: one lane per message group, and one common lane for the messages
of a standard queue that name no group. A lane has one time, the moment at which something in it can be
delivered, so that a store finds work by looking at lanes, never by walking over messages that must wait.
"""

from collections.abc import Iterable, Mapping, Sequence

from encola.engine.lifecycle import State, state_of
from encola.engine.message import Instant, MessageState

HEAD_LENGTH = 10
"""How many messages at the head of an ordered lane decide what can be done.

A claim takes a prefix of a lane and is at most this long, and no other claim can touch the lane while one
of them is leased: all leased messages of an ordered lane are therefore among its first ten.
"""


def ordered_pick(head: Sequence[MessageState], now: Instant, limit: int) -> list[MessageState]:
    """The next deliveries of an ordered lane, given its first ``HEAD_LENGTH`` messages in order of sending.

    Nothing while any of them is leased; otherwise the unbroken run of ready ones from the first.
    """
    if any(state_of(message, now) is State.LEASED for message in head):
        return []
    picked: list[MessageState] = []
    for message in head[:limit]:
        if message.ready_at > now:
            break
        picked.append(message)
    return picked


def ordered_ready_at(head: Sequence[MessageState], now: Instant) -> Instant | None:
    """When an ordered lane can deliver next; None when it is empty.

    While messages are leased that is when the last of their leases ends; otherwise it is its first's time.
    """
    if not head:
        return None
    leases = [message.ready_at for message in head if state_of(message, now) is State.LEASED]
    return max(leases) if leases else head[0].ready_at


def merge(ready: Mapping[str, Iterable[MessageState]], limit: int, noisy: Sequence[str] = ()) -> list[MessageState]:
    """The next deliveries of a standard queue, from the oldest ready messages of each of its lanes.

    ``ready`` maps a group ("" for the common lane) to its oldest ready messages. Quiet groups go first, oldest
    first among all of them; then the noisy ones, one group after the other in the order given.
    """
    rank = {group: place for place, group in enumerate(noisy, start=1)}
    waiting = [
        (rank.get(group, 0), message.ready_at, message.id, message)
        for group, messages in ready.items()
        for message in messages
    ]
    waiting.sort(key=lambda entry: entry[:3])
    return [entry[3] for entry in waiting[:limit]]
