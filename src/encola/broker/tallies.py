"""What has happened to each queue since the server started: counted where it happens, as it costs little there.

A queue has a tally from its declaration to its end. What still happens to one that is gone is not counted.
"""

from collections.abc import Iterator, Sequence

from encola.engine.changes import Stored
from encola.engine.lifecycle import Outcome
from encola.engine.message import QueueId
from encola.engine.metrics import Tally


class Tallies:
    """See the module. Belongs to the event loop of the broker; whoever reads it changes nothing in it."""

    def __init__(self) -> None:
        self._by_queue: dict[QueueId, Tally] = {}
        self.get = self._by_queue.get  # (queue: QueueId) -> Tally | None, for every request

    def __len__(self) -> int:
        return len(self._by_queue)

    def __iter__(self) -> Iterator[QueueId]:
        return iter(self._by_queue)

    def __getitem__(self, queue: QueueId) -> Tally:
        return self._by_queue[queue]

    def begin(self, queue: QueueId) -> None:
        """Counts for a queue from now on, if it does not already."""
        if queue not in self._by_queue:
            self._by_queue[queue] = Tally()

    def forget(self, queue: QueueId) -> None:
        self._by_queue.pop(queue, None)

    def sent(self, queue: QueueId, sizes: Sequence[int], stored: Sequence[Stored]) -> None:
        """Messages of these sizes were sent. A duplicate is not another message."""
        tally = self.get(queue)
        if tally is None:
            return
        for size, one in zip(sizes, stored, strict=True):
            if one.duplicate:
                continue
            tally.sent += 1
            tally.sent_bytes += size
            if size > tally.size_max:
                tally.size_max = size
            if size < tally.size_min or not tally.size_min:
                tally.size_min = size

    def answered(self, queue: QueueId, messages: int) -> None:
        """A receive was answered with so many messages."""
        tally = self.get(queue)
        if tally is None:
            return
        if messages:
            tally.received += messages
        else:
            tally.empty_receives += 1

    def deleted(self, queue: QueueId, outcomes: Sequence[Outcome]) -> None:
        tally = self.get(queue)
        if tally is not None:
            tally.deleted += outcomes.count(Outcome.DONE)

    def dead_lettered(self, queue: QueueId, outcomes: Sequence[object]) -> None:
        """Of these moves of its messages to its dead-letter queue, those that were done."""
        tally = self.get(queue)
        if tally is not None:
            tally.dead_lettered += outcomes.count(Outcome.DONE)
