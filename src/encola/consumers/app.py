"""The application: what is declared (tasks, queues, schedules) and how it is reached. See docs/consumers.md.

app = encola.App("back-office")

@app.task(queue="reports", key="report/{month}", timeout=600, retries=5)
def report(month: str) -> str: ...

job = report.send("2026-10")
"""

import asyncio
import functools
import os
import typing
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar

import msgspec

from encola.consumers import preparing
from encola.consumers.batches import BatchTask
from encola.consumers.bridge import Bridge
from encola.consumers.connection import Connection, JobsFactory
from encola.consumers.cron import Schedule
from encola.consumers.errors import ConfigurationError, ResultTypeError, SendError
from encola.consumers.job import Job
from encola.consumers.middleware import Middleware
from encola.consumers.options import WINDOW_DEFAULT, Priority, Rate, TaskOptions, is_number, lane_of
from encola.consumers.payload import decode_as
from encola.consumers.pushed import CONCURRENCY_DEFAULT, LambdaHandler
from encola.consumers.queues import QueueOptions
from encola.consumers.retry import BACKOFF_DEFAULT, Backoff
from encola.consumers.task import Prepared, Task, name_of
from encola.consumers.transport import NoQueueError, Transport, TransportError
from encola.engine.message import Duration

if TYPE_CHECKING:
    from encola.consumers.outbox import Outbox

Given = ParamSpec("Given")
Result = TypeVar("Result")
Item = TypeVar("Item")

DEFAULT_SERVER = "http://127.0.0.1:9324"
AWS = "aws"
LEASE_DEFAULT = 60.0
NULL = msgspec.Raw(b"null")
SENT_TOGETHER_MAX = 1000
"""Messages of one ``send_many`` that are under way at once."""


class App:
    """Tasks under one name, on one queue service.

    ``server`` is the URL of an encola server or another SQS endpoint, or ``"aws"`` for AWS itself (default: the
    environment's ENCOLA_ENDPOINT, else a server on this machine). ``jobs`` makes the store of records, once for each
    connection: on an encola server it keeps them itself; elsewhere pass e.g. ``lambda: DynamoDbJobStore("jobs")``, or
    go without records. ``False`` goes without them on any server. ``lease`` is how long (in seconds) a message stays
    hidden from others without a sign of life from its worker. ``create_queues``: shall a worker make queues that are
    missing? (default: on encola servers). ``middleware`` runs around tasks, the first outermost.
    """

    def __init__(
        self,
        name: str,
        *,
        server: str | None = None,
        region: str | None = None,
        profile: str | None = None,
        jobs: JobsFactory | Literal[False] | None = None,
        lease: float = LEASE_DEFAULT,
        create_queues: bool | None = None,
        middleware: Sequence[Middleware] = (),
        transport: Callable[[], Transport] | None = None,
    ) -> None:
        """Raises ConfigurationError."""
        if not isinstance(name, str) or not name or "/" in name:
            raise ConfigurationError("an application has a name, without a slash")
        if not (is_number(lease) and 1 <= lease <= 43_200):
            raise ConfigurationError("a lease is between 1 and 43,200 seconds")
        self.name = name
        self.lease = lease
        self.create_queues = create_queues
        self.middleware = list(middleware)
        self.tasks: dict[str, Task[Any, Any]] = {}
        self.queues: dict[str, QueueOptions] = {}
        self.schedules: list[Schedule] = []
        self._server = server
        self.reaches: str | None = None
        self._region = region
        self._profile = profile
        self._jobs = jobs
        self._transport = transport
        self.bridge = Bridge(self.connect)
        self._connections: dict[asyncio.AbstractEventLoop, Connection] = {}

    def __repr__(self) -> str:
        return f"<App {self.name}>"

    # Declaring ----------------------------------------------------------------------------------------

    def task(
        self,
        *,
        queue: str,
        name: str | None = None,
        key: str | Callable[..., str] | None = None,
        timeout: float | None = None,
        retries: int = 5,
        backoff: Backoff = BACKOFF_DEFAULT,
        limit_per_key: int | None = None,
        limit_key: str | Callable[..., str] | None = None,
        rate: str | None = None,
        priority: Priority = "normal",
        group: str | Callable[..., str] | None = None,
        run: Literal["thread", "process"] = "thread",
        track: bool = True,
        window: float = WINDOW_DEFAULT,
    ) -> Callable[[Callable[Given, Result]], Task[Given, Result]]:
        """Makes a task of a function. Raises ConfigurationError.

        ``key`` names the wish (``"report/{month}"``): wishes with one key are one job, within ``window`` seconds after
        it was done. ``timeout`` seconds for an attempt; ``retries`` after the first, with ``backoff`` between. At most
        ``limit_per_key`` jobs with one ``limit_key`` (default: key) run at a time, and no more than ``rate`` start,
        over all workers. ``group`` is the message group on a FIFO queue (default: the task). An ``async def`` runs on
        the worker's event loop, another function in a thread or a process. ``track=False`` keeps no record: no status,
        no result, no protection from doubles but the task's own.
        """

        def declare(function: Callable[Given, Result]) -> Task[Given, Result]:
            options = TaskOptions(
                queue=queue,
                name=name_of(function) if name is None else name,
                key=key,
                timeout=timeout,
                retries=retries,
                backoff=backoff,
                limit_per_key=limit_per_key,
                limit_key=limit_key,
                rate=None if rate is None else Rate.parse(rate),
                priority=priority,
                group=group,
                run=run,
                track=track and self._jobs is not False,
                window=window,
            )
            task = Task(self, function, options)
            self._add(task)
            return task

        return declare

    def batch(
        self,
        *,
        queue: str,
        name: str | None = None,
        size: int = 100,
        window: float = 1.0,
        rate: str | None = None,
        retries: int = 5,
        backoff: Backoff = BACKOFF_DEFAULT,
        timeout: float | None = None,
    ) -> Callable[[Callable[..., Any]], BatchTask]:
        """Makes a batch task of a function of one list: it gets up to ``size`` items, or those of ``window`` seconds.

        ``rate`` limits items over all workers. The function answers the items that failed (or nothing, if all went
        well); they are tried again, as all are if it raises. Such a task has its queue for itself.
        """

        def declare(function: Callable[..., Any]) -> BatchTask:
            options = TaskOptions(
                queue=queue,
                name=name_of(function) if name is None else name,
                timeout=timeout,
                retries=retries,
                backoff=backoff,
                rate=None if rate is None else Rate.parse(rate),
                track=False,
            )
            task = BatchTask(self, function, options, size, window)
            self._add(task)
            return task

        return declare

    def cron(
        self, expression: str, *, timezone: str = "UTC", catch_up: float = 60.0, queue: str | None = None
    ) -> Callable[[Any], Task[[], Any]]:
        """Sends a task without arguments at the times of a cron expression: once, however many workers run.

        On top of ``@app.task``, or of a plain function (then ``queue`` says where). A time that was missed, because no
        worker ran, is made up for within ``catch_up`` seconds. Raises ConfigurationError.
        """

        def declare(what: Any) -> Task[[], Any]:
            task = what if isinstance(what, Task) else self.task(queue=queue or self.name)(what)
            self.schedules.append(Schedule(task, expression, timezone, catch_up))
            return task

        return declare

    def queue(
        self,
        name: str,
        *,
        lease: float | None = None,
        retention: float = 14 * 86_400.0,
        priorities: bool = False,
        dead_letters: str | None = None,
    ) -> None:
        """Says more of a queue than tasks do; ``priorities`` gives it lanes (``reports-high``, ``reports-low``).

        Raises ConfigurationError.
        """
        if priorities and self.batch_on(name) is not None:
            raise ConfigurationError(f"the queue {name} belongs to a batch task, which has no priorities")
        self.queues[name] = QueueOptions(
            name=name,
            lease=self.lease if lease is None else lease,
            retention=retention,
            priorities=priorities,
            dead_letters=dead_letters,
        )

    def queue_options(self, name: str) -> QueueOptions:
        """Of a declared queue, or those of one that only tasks name."""
        return self.queues.get(name) or QueueOptions(name=name, lease=self.lease)

    def _add(self, task: Task[Any, Any]) -> None:
        if task.name in self.tasks:
            raise ConfigurationError(f"two tasks are called {task.name}: give one another name=")
        for other in self.tasks.values():
            if other.queue == task.queue and (isinstance(other, BatchTask) or isinstance(task, BatchTask)):
                raise ConfigurationError(f"the queue {task.queue} belongs to a batch task, and to no other")
        if isinstance(task, BatchTask) and self.queue_options(task.queue).priorities:
            raise ConfigurationError(f"the queue {task.queue} has priorities, but {task.name} is a batch task")
        self.tasks[task.name] = task

    # What tasks and handles ask -----------------------------------------------------------------------

    def record_key(self, job_id: str) -> str:
        """Under which key the store of records keeps a job."""
        return f"{self.name}/{job_id}"

    def job(self, job_id: str) -> Job[Any]:
        """The handle of a job whose id was kept somewhere."""
        task = self.tasks.get(job_id.partition("/")[0])
        return Job(self, job_id, tracked=task is None or task.settings.track)

    def lane(self, task: Task[Any, Any], priority: Priority) -> str:
        """The queue for a wish. Raises ConfigurationError."""
        if priority != "normal" and not self.queue_options(task.queue).priorities:
            raise ConfigurationError(f"the queue {task.queue} has no priorities: app.queue(..., priorities=True)")
        return lane_of(task.queue, priority)

    def window_ms(self, settings: TaskOptions | None) -> Duration:
        """For how long records are kept, in milliseconds."""
        return int((settings.window if settings else WINDOW_DEFAULT) * 1000)

    def result_of(self, task: str, result: msgspec.Raw) -> Any:
        """A stored result as its task's annotation says, or as JSON has it; None of a job that was done before.

        Raises ResultTypeError.
        """
        known = self.tasks.get(task)
        if result == NULL:
            return None
        if known is None or known.returns in (Any, None, object):
            return msgspec.json.decode(result)
        hint = typing.get_type_hints(known.function, include_extras=True).get("return", Any)
        if hint is type(None):
            return msgspec.json.decode(result)
        try:
            return decode_as(hint, result)
        except msgspec.ValidationError as error:
            raise ResultTypeError(f"the task {task} answered what its annotation does not say: {error}") from None

    def batch_on(self, queue: str) -> BatchTask | None:
        """The batch task to which a queue belongs, if it does."""
        return next((t for t in self.tasks.values() if t.queue == queue and isinstance(t, BatchTask)), None)

    def lambda_handler(self, *, concurrency: int = CONCURRENCY_DEFAULT) -> LambdaHandler:
        """The application as a pushed function: ``handler = app.lambda_handler()``. See ``pushed``.

        ``concurrency`` limits how many messages of one batch are worked on at the same time.
        """
        return LambdaHandler(self, concurrency)

    # Effects once, in the user's own transaction --------------------------------------------------------

    def once(self, connection: Any, key: str) -> Any:
        """``with app.once(connection, key):`` marks ``key`` as done in the connection's open transaction.

        Raises AlreadyDone on entry if it was done before; in a task, let it through: the job then counts as completed.
        Use ``async with`` for asynchronous connections. See ``once``.
        """
        from encola.consumers.once import Once

        return Once(self.name)(connection, key)

    def outbox(self, connection: Any) -> "Outbox":
        """Sends within the transaction of a database connection: ``app.outbox(connection).send(task, ...)``."""
        from encola.consumers.outbox import Outbox

        return Outbox(self, connection)

    async def relay(self, connect: Callable[[], Any]) -> None:
        """Sends what outboxes hold, until it is cancelled. ``connect`` opens a DB-API connection. See ``outbox``.

        Raises TransportError if the service is not there at the start, ConfigurationError.
        """
        from encola.consumers.relay import Relay

        transport = self.connect().transport
        await transport.open()
        try:
            await Relay(connect, transport).run()
        finally:
            await transport.close()

    # Reaching the service -----------------------------------------------------------------------------

    def connect(self) -> Connection:
        """A connection of its own, not open yet."""
        transport = self._transport() if self._transport else self._sqs()
        return Connection(transport, self._jobs)

    def reach(self, server: str) -> None:
        """From now on the queue service is ``server``, whatever the application was made with."""
        self._server = self.reaches = server

    def _sqs(self) -> Transport:
        from encola.consumers.sqs.transport import SqsTransport

        server = self._server or os.environ.get("ENCOLA_ENDPOINT") or DEFAULT_SERVER
        return SqsTransport(server, region=self._region, profile=self._profile)

    def use(self, connection: Connection) -> None:
        """From now on ``connection`` serves the running event loop (a worker's)."""
        self._connections[asyncio.get_running_loop()] = connection

    def leave(self) -> None:
        """The running loop's connection is closing."""
        self._connections.pop(asyncio.get_running_loop(), None)

    async def connected(self, use: Callable[[Connection], Awaitable[Result]]) -> Result:
        """Runs ``use`` with a connection: the running loop's, or the one of the application's own thread."""
        loop = asyncio.get_running_loop()
        connection = self._connections.get(loop)
        if connection is not None:
            return await use(connection)
        if self.bridge.is_running_in(loop):
            return await self.bridge.use(use)
        return await asyncio.wrap_future(self.bridge.run(self.bridge.use(use)))

    def wait(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Runs a coroutine of the runtime to its end, from code that is not asynchronous."""
        return self.bridge.run(work).result()

    def close(self) -> None:
        """Ends the application's own connection, if there is one."""
        self.bridge.close()

    async def enqueue(self, task: Task[Any, Result], wishes: Sequence[Prepared]) -> list[Job[Result]]:
        """Sends what was prepared. Raises SendError."""
        if not self.middleware or not wishes:
            return await self._enqueue(task, wishes)
        queue, messages = wishes[0].queue, [wish.message for wish in wishes]

        async def call(depth: int = 0) -> Any:
            if depth == len(self.middleware):
                return await self._enqueue(task, wishes)
            return await self.middleware[depth].delivering(queue, messages, lambda: call(depth + 1))

        jobs: list[Job[Result]] = await call()
        return jobs

    async def _enqueue(self, task: Task[Any, Result], wishes: Sequence[Prepared]) -> list[Job[Result]]:
        for start in range(0, len(wishes), SENT_TOGETHER_MAX):
            some = wishes[start : start + SENT_TOGETHER_MAX]
            try:
                answers = await self.connected(functools.partial(self._send, task, some))
            except TransportError as error:
                raise SendError(f"{task.name} was not sent to {task.queue}: {error}", start) from error
            failed = [answer for answer in answers if isinstance(answer, BaseException)]
            if failed:
                if not isinstance(failed[0], TransportError):
                    raise failed[0]
                sent = start + len(answers) - len(failed)
                raise SendError(f"{task.name} was not sent to {task.queue}: {failed[0]}", sent) from failed[0]
        return [Job(self, wish.job, tracked=task.settings.track) for wish in wishes]

    async def _send(self, task: Task[Any, Any], wishes: Sequence[Prepared], connection: Connection) -> list[Any]:
        """The id of each message, or why it was not sent. A producer may come before the first worker: queues are made.

        Raises TransportError.
        """

        async def send(some: Sequence[Prepared]) -> list[Any]:
            sends = [connection.send(wish.queue, wish.message) for wish in some]
            return await asyncio.gather(*sends, return_exceptions=True)

        answers = await send(wishes)
        homeless = [index for index, answer in enumerate(answers) if isinstance(answer, NoQueueError)]
        if homeless and preparing.may_create(self, connection.transport):
            for lane in {wishes[index].queue for index in homeless}:
                await preparing.create(connection.transport, self.queue_options(task.queue), lane)
            for index, answer in zip(homeless, await send([wishes[index] for index in homeless]), strict=True):
                answers[index] = answer
        return answers
