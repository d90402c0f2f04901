"""Queues as they are stored: what an earlier version wrote is read by a later one."""

import msgspec

from encola.engine.message import QueueId
from encola.engine.queue import Address, Queue


def test_a_queue_that_was_stored_before_there_were_pauses_is_not_paused() -> None:
    queue = Queue(id=QueueId(1), address=Address("1", "work"), created_at=2, modified_at=3)
    document = msgspec.msgpack.decode(msgspec.msgpack.encode(queue))
    del document["paused"]
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(document), type=Queue) == queue
