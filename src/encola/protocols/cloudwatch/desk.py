"""What every operation needs: the metrics that there are, who may read them, where their values are, and the time."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from encola.broker.broker import Broker
from encola.engine.message import Duration, Instant, QueueId
from encola.engine.metrics import Point, ServerPoint
from encola.engine.queue import Address, Queue
from encola.metrics.definitions import DIMENSION, QUEUE_BY_NAME, SERVER_BY_NAME, Definition
from encola.protocols.aws.identity import Identity
from encola.protocols.cloudwatch.errors import CloudWatchError
from encola.protocols.cloudwatch.shapes import Dimension


class Source(Protocol):
    """Where the values come from.

    Both answer the points of the intervals of length ``period`` that begin in ``since <= at < until``, in order, with
    the one that is not over yet. One in which a queue was quiet has a point of zeros, one without a server has none.
    """

    async def series(self, queue_id: QueueId, since: Instant, until: Instant, period: Duration) -> Sequence[Point]: ...

    async def server_series(self, since: Instant, until: Instant, period: Duration) -> Sequence[ServerPoint]: ...


class Target(msgspec.Struct, frozen=True):
    """A metric that there is: of a queue, or of the server (None)."""

    definition: Definition
    queue: Queue | None


class Desk:
    """Passed to every operation."""

    def __init__(self, broker: Broker, source: Source) -> None:
        self._broker = broker
        self.source = source

    def now(self) -> Instant:
        return self._broker.clock.now()

    def queues(self, identity: Identity, action: str) -> list[Queue]:
        """The queues of the caller's account on which he may do ``action``, by name."""
        return [one for one in self._broker.queues(identity.account) if identity.allows(action, one.address.name)]

    def target(
        self, identity: Identity, action: str, namespace: str, name: str, dimensions: Sequence[Dimension]
    ) -> Target | None:
        """The metric that is meant, or None where there is no such metric or no such queue.

        Raises CloudWatchError (AccessDenied), whether or not there is a queue of that name.
        """
        if not dimensions:
            of_server = SERVER_BY_NAME.get((namespace, name))
            if of_server is None:
                return None
            self.check(identity, action, "")
            return Target(of_server, None)
        if len(dimensions) > 1 or dimensions[0].Name != DIMENSION:
            return None
        queue_name = dimensions[0].Value or ""
        self.check(identity, action, queue_name)
        queue = self._broker.find(Address(identity.account, queue_name))
        definition = QUEUE_BY_NAME.get((namespace, name))
        return Target(definition, queue) if queue is not None and definition is not None else None

    def check(self, identity: Identity, action: str, queue_name: str) -> None:
        """May he do this with a queue of that name ("": with no queue in particular)? Raises CloudWatchError."""
        if identity.allows(action, queue_name):
            return
        what = f" on the metrics of queue {queue_name[:100]}" if queue_name else ""
        raise CloudWatchError(
            "AccessDenied", f"User: {identity.arn} is not authorized to perform: cloudwatch:{action}{what}"
        )
