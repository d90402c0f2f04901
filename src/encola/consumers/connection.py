"""One connection to the queue service and the store of records, in one event loop: what is sent together goes together.

Many coroutines send, settle and ask one by one; each kind of call has a line (``Coalescer``) that makes batches of what
arrives while a request is under way. Nobody waits for a batch to fill.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal, TypeVar

from encola.consumers.coalesce import Coalescer
from encola.consumers.errors import NoRecordsError
from encola.consumers.jobstore import COMMANDS_MAX, JobStore
from encola.consumers.transport import Incoming, Outgoing, Transport, TransportError
from encola.engine.records import Command, Reply

Item = TypeVar("Item")

PARALLEL = 3
"""Requests of one kind at a time: with more of them each would carry fewer messages, and cost as much."""

NO_RECORDS = "the application has no store of records: give App(jobs=...) one, or declare the task with track=False"


JobsFactory = Callable[[], JobStore]


class Connection:
    """See the module. ``jobs`` is None where no records are kept.

    ``records`` makes their store; None leaves it to the service, if it keeps records; False goes without.
    """

    def __init__(self, transport: Transport, records: JobsFactory | Literal[False] | None) -> None:
        self.transport = transport
        self.jobs: JobStore | None = None
        self._records = records
        self._senders: dict[str, Coalescer[Outgoing, str | TransportError]] = {}
        self._lines: dict[str, Coalescer[Any, TransportError | None]] = {}
        self._commands: Coalescer[Command, Reply] = Coalescer(self._apply, COMMANDS_MAX, PARALLEL)

    async def open(self) -> None:
        """Raises TransportError, JobStoreError."""
        await self.transport.open()
        if self._records is False:
            return
        jobs = self.transport.records() if self._records is None else self._records()
        if jobs is None:
            return
        try:
            await jobs.open()
        except BaseException:
            await self.transport.close()
            raise
        self.jobs = jobs

    async def close(self, within: float | None = None) -> None:
        """Waits for what is under way, for so many seconds at most."""
        lines: list[Coalescer[Any, Any]] = [*self._senders.values(), *self._lines.values(), self._commands]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                for line in lines:
                    await line.close()
        if self.jobs is not None:
            await self.jobs.close()
        await self.transport.close()

    async def send(self, queue: str, message: Outgoing) -> str:
        """Durable on return; answers the message's id. Raises TransportError."""
        line = self._senders.get(queue)
        if line is None:

            async def flush(messages: Sequence[Outgoing]) -> Sequence[str | TransportError]:
                return await self.transport.send(queue, messages)

            line = self._senders[queue] = Coalescer(flush, self.transport.batch_max, PARALLEL)
        answer = await line.do(message)
        if isinstance(answer, TransportError):
            raise answer
        return answer

    async def delete(self, message: Incoming) -> None:
        """Raises TransportError."""
        await self._settle("delete", message.queue, self.transport.delete, message)

    async def retry(self, message: Incoming, delay: float) -> None:
        """The message comes again, and this delivery counts. Raises TransportError."""
        await self._settle("retry", message.queue, self.transport.retry, (message, delay))

    async def release(self, message: Incoming, delay: float) -> None:
        """The message comes again, and this delivery does not count. Raises TransportError."""
        await self._settle("release", message.queue, self.transport.release, (message, delay))

    async def reject(self, message: Incoming, reason: str, error: str) -> None:
        """The message goes to the dead-letter queue. Raises TransportError."""
        await self._settle("reject", message.queue, self.transport.reject, (message, reason, error))

    async def _settle(
        self,
        verb: str,
        queue: str,
        flush: Callable[[Sequence[Item]], Awaitable[Sequence[TransportError | None]]],
        item: Item,
    ) -> None:
        key = f"{verb} {queue}"
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = Coalescer(flush, self.transport.batch_max, PARALLEL)
        answer = await line.do(item)
        if answer is not None:
            raise answer

    async def command(self, command: Command) -> Reply:
        """Raises JobStoreError, NoRecordsError."""
        if self.jobs is None:
            raise NoRecordsError(NO_RECORDS)
        return await self._commands.do(command)

    async def _apply(self, commands: Sequence[Command]) -> Sequence[Reply]:
        if self.jobs is None:
            raise NoRecordsError(NO_RECORDS)
        return await self.jobs.apply(commands)
