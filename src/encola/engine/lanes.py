"""Which messages may go next: the order within a group, and among groups.

Every message waits in a *lane* of its queue: one lane per message group, and one common lane for the messages
of a standard queue that name no group. A lane has one time, the moment at which something in it can be
delivered, so that a store finds work by looking at lanes, never by walking over messages that must wait.
"""

from collections.abc import Iterable, Mapping, Sequence

from encola.engine.lifecycle import State, state_of
from encola.engine.message import Instant, MessageState


def ordered_pick(lane: Sequence[MessageState], now: Instant, limit: int) -> list[MessageState]:
    """The next deliveries of an ordered lane, given its messages in order of sending.

    Nothing while any of them is leased; otherwise the unbroken run of ready ones from the first. Of a lane that is
    due (``ordered_ready_at``) none is leased, so there its first ``limit`` messages say enough.
    """
    if any(state_of(message, now) is State.LEASED for message in lane):
        return []
    picked: list[MessageState] = []
    for message in lane[:limit]:
        if message.ready_at > now:
            break
        picked.append(message)
    return picked


def ordered_ready_at(first: MessageState | None, leases_end: Instant) -> Instant | None:
    """When an ordered lane can deliver next: its first message is ready and no lease runs. None when it is empty.

    ``leases_end`` is the latest ``ready_at`` of those of its messages that were ever leased, 0 without any. It need
    not be one of the first: messages that are moved in keep their ids and so may come to stand before leased ones.
    """
    return None if first is None else max(first.ready_at, leases_end)


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
