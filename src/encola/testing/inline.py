"""Tasks without a server: sent, run and looked at within one test, with time that passes when the test says so.

    with Inline(app) as run:
        job = report.send("2026-10")
        run.until_idle()                    # runs all that is ready, and what follows from it
        assert job.result() == "..."
        run.advance(hours=6)                # delays end, retries come, cron fires

What runs is the runtime's own path of a message: the same checks, records, retries and dead letters; only queue and
records are in memory, and time is virtual, also for ``asyncio.sleep`` in a task. Chance is fixed: a back-off waits half
of its longest. Tasks with ``run="process"`` run in a thread: a test may replace what they use.
"""

import asyncio
import concurrent.futures
import selectors
from collections.abc import Awaitable, Callable, Coroutine, Generator
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, TypeVar

import msgspec

from encola.broker.clock import Clock
from encola.consumers.app import App
from encola.consumers.batches import BatchTask
from encola.consumers.batching import BatchHandler, Item
from encola.consumers.bridge import ASYNC_HERE, Bridge
from encola.consumers.connection import Connection
from encola.consumers.cron import tick
from encola.consumers.execution import Executor
from encola.consumers.follow import Follow
from encola.consumers.gate import Gate
from encola.consumers.leases import LeaseKeeper
from encola.consumers.options import WINDOW_DEFAULT
from encola.consumers.preparing import prepare_queues
from encola.consumers.resources import Resources
from encola.consumers.runner import Runner
from encola.consumers.slots import FreeTurn
from encola.consumers.stores.memory import MemoryJobStore
from encola.testing.local import LocalTransport

Result = TypeVar("Result")

START = datetime(2026, 1, 1, tzinfo=UTC)
CHANCE = 0.5
ROUNDS_MAX = 100_000
"""Of one ``until_idle``: a task that asks for itself again and again is told so."""

FETCHED = 10
LEASE = 43_200.0
"""The longest there is: no heartbeat is needed while a task sleeps for virtual hours."""

NOT_ASYNC = "Inline runs an event loop of its own: use it in a test that is not `async def`"
RESOLUTION = 1e-5
"""Of virtual time, in seconds: what a float of seconds since 1970 can tell apart, and asyncio has to know."""


class DeadLetter(msgspec.Struct, frozen=True):
    """A message on a dead-letter queue, and why it is there."""

    body: str
    reason: str
    error: str


class Inline:
    """See the module. ``start`` is the virtual time at its beginning (default: 2026-01-01, UTC)."""

    def __init__(self, app: App, *, start: datetime = START) -> None:
        self._app = app
        self._loop = _VirtualLoop(start.timestamp())
        self._clock = Clock(wall=self._loop.time, steady=self._loop.time)
        self._jobs = MemoryJobStore(now=self._clock.now)
        self._transport = LocalTransport(self._clock, self._jobs)
        self._fired: set[tuple[str, str]] = set()

    @property
    def now(self) -> datetime:
        """The virtual time."""
        return datetime.fromtimestamp(self._loop.time(), UTC)

    def until_idle(self) -> int:
        """Runs everything that is ready now, and all that follows at once. Answers how many messages were handled."""
        return self._loop.run_until_complete(self._until_idle())

    def advance(self, **duration: float) -> int:
        """Lets time pass (``hours=6``, as for ``timedelta``), running what comes due on the way, at its time."""
        return self._loop.run_until_complete(self._advance(self._loop.time() + timedelta(**duration).total_seconds()))

    def dead_letters(self, queue: str) -> list[DeadLetter]:
        """What is on the dead-letter queue of a queue, the oldest first."""
        return self._loop.run_until_complete(self._dead_letters(queue))

    def waiting(self, queue: str) -> int:
        """Messages on a queue: ready, delayed, or to be tried again."""

        async def count() -> int:
            return (await self._transport.broker.counts(self._transport.queue(queue))).total

        return self._loop.run_until_complete(count())

    # The frame ----------------------------------------------------------------------------------------

    def __enter__(self) -> "Inline":
        self._loop.run_until_complete(self._begin())
        self._before = self._app.bridge
        self._app.bridge = _InlineBridge(self._loop, self._connection)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._app.bridge = self._before
        self._loop.run_until_complete(self._end())
        self._loop.close()

    async def _begin(self) -> None:
        app = self._app
        self._connection = Connection(self._transport, None)
        await self._connection.open()
        self._queues = [app.queue_options(name) for name in sorted({task.queue for task in app.tasks.values()})]
        await prepare_queues(app, self._transport, self._queues)
        prefix = app.record_key("")
        self._executor, self._resources = Executor(), Resources()
        self._keeper = LeaseKeeper(self._connection, LEASE)
        self._gate = Gate(self._connection, prefix, LEASE)
        self._runner = Runner(
            self._connection,
            self._executor,
            self._resources,
            self._gate,
            Follow(self._connection, prefix, int(WINDOW_DEFAULT * 1000), app.middleware),
            tasks=app.tasks,
            lease=LEASE,
            worker="inline",
            chance=lambda: CHANCE,
            wall=self._loop.time,
        )
        app.use(self._connection)

    async def _end(self) -> None:
        self._app.leave()
        await self._executor.close()
        await self._resources.close()
        await self._connection.close()
        await self._transport.shut()

    # Running ------------------------------------------------------------------------------------------

    async def _until_idle(self) -> int:
        handled = 0
        while count := await self._round():
            handled += count
            if handled > ROUNDS_MAX:
                raise RuntimeError(f"no end after {handled} messages: does a task ask for itself?")
        return handled

    async def _round(self) -> int:
        handled = 0
        for queue in self._queues:
            batch = next((task for task in self._app.tasks.values() if task.queue == queue.name), None)
            for lane in queue.lanes:
                if isinstance(batch, BatchTask):
                    handled += await self._run_batch(batch, lane)
                    continue
                limit = FETCHED if not lane.endswith(".fifo") else 1
                messages = await self._transport.receive(lane, limit, 0, LEASE)
                handled += len(messages)
                for message in messages:
                    await self._runner.handle(self._keeper.hold(message), FreeTurn())
        return handled

    async def _run_batch(self, task: BatchTask, lane: str) -> int:
        """One batch of what is there, up to its size. Answers how many messages these were."""
        handler = BatchHandler(
            task, self._connection, self._keeper, self._executor, self._resources, "inline", chance=lambda: CHANCE
        )
        items: list[Item] = []
        handled = 0
        while handled < task.size:
            messages = await self._transport.receive(lane, min(FETCHED, task.size - handled), 0, LEASE)
            if not messages:
                break
            handled += len(messages)
            for message in messages:
                await handler.read(message, items)
        if items:
            await self._gate.pace(task, len(items))
            await handler.run(items)
        return handled

    async def _advance(self, end: float) -> int:
        handled = await self._until_idle()
        while (due := await self._next_due(end)) <= end:
            self._loop.jump(due)
            await self._fire()
            handled += await self._until_idle()
        self._loop.jump(end)
        return handled + await self._until_idle()

    async def _next_due(self, end: float) -> float:
        """When something happens next: a message comes due, a schedule fires. Later than ``end`` if nothing does."""
        now = self._loop.time()
        times = [end + 1]
        for queue in self._queues:
            for lane in queue.lanes:
                due = await self._transport.store.next_ready(self._transport.queue(lane).id, self._clock.now())
                if due is not None:
                    times.append(due / 1000)
        times += [schedule.next_after(self.now).timestamp() for schedule in self._app.schedules]
        return max(now, min(times))

    async def _fire(self) -> None:
        """Sends what a schedule has for this very moment."""
        for schedule in self._app.schedules:
            last = schedule.next_after(self.now - timedelta(seconds=1))
            key = (schedule.task.name, tick(last))
            if last <= self.now and key not in self._fired:
                self._fired.add(key)
                prepared = schedule.task.prepare_data(b"{}", job=f"{schedule.task.name}/{tick(last)}")
                await self._connection.send(prepared.queue, prepared.message)

    async def _dead_letters(self, queue: str) -> list[DeadLetter]:
        facts = await self._transport.describe(queue)
        if facts.dead_letters is None:
            return []
        peeks = await self._transport.broker.browse(self._transport.queue(facts.dead_letters), limit=ROUNDS_MAX)
        found = []
        for peek in peeks:
            headers = {name: header.value.decode() for name, header in peek.envelope.headers.items()}
            body = peek.body.decode()
            found.append(DeadLetter(body, headers.get("encola.reason", ""), headers.get("encola.error", "")))
        return found


class _InlineBridge(Bridge):
    """Sync code reaches the test's own loop: directly, or from the thread in which a task runs."""

    waits = False

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._own_loop.time(), UTC)

    def __init__(self, loop: "_VirtualLoop", connection: Connection) -> None:
        self._own_loop = loop
        self._own_connection = connection

    def run(self, work: Coroutine[Any, Any, Result]) -> "concurrent.futures.Future[Result]":
        if self._own_loop.is_running():
            if asyncio._get_running_loop() is self._own_loop:
                work.close()
                raise RuntimeError(ASYNC_HERE)
            return asyncio.run_coroutine_threadsafe(work, self._own_loop)
        future: concurrent.futures.Future[Result] = concurrent.futures.Future()
        try:
            future.set_result(self._own_loop.run_until_complete(work))
        except Exception as error:
            future.set_exception(error)
        return future

    def is_running_in(self, loop: asyncio.AbstractEventLoop) -> bool:
        return loop is self._own_loop

    async def use(self, use: Callable[[Connection], Awaitable[Result]]) -> Result:
        return await use(self._own_connection)

    def close(self) -> None:
        """The test's frame closes its connection."""


class _VirtualSelector(selectors.DefaultSelector):
    """Answers at once what there is. Where a real one would wait for a timer, virtual time jumps there.

    Only while a task runs in a thread it waits really, a moment at a time: the thread may be about to answer.
    """

    loop: "_VirtualLoop"

    def select(self, timeout: float | None = None) -> Any:
        events = super().select(0)
        if events or timeout == 0:
            return events
        if self.loop.threads or timeout is None:
            return super().select(0.001 if self.loop.threads else timeout)
        self.loop.jump(self.loop.time() + timeout)
        return events


class _VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on virtual time."""

    def __init__(self, start: float) -> None:
        self._now = start
        self.threads = 0
        selector = _VirtualSelector()
        super().__init__(selector)
        self._clock_resolution = RESOLUTION
        selector.loop = self

    def run_until_complete(self, future: Generator[Any, None, Result] | Awaitable[Result]) -> Result:
        if asyncio._get_running_loop() is not None:
            if asyncio.iscoroutine(future):
                future.close()
            raise RuntimeError(NOT_ASYNC)
        return super().run_until_complete(future)

    def time(self) -> float:
        return self._now

    def jump(self, to: float) -> None:
        self._now = max(self._now, to)

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:  # type: ignore[override]
        self.threads += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(lambda _: self._thread_ended())
        return future

    def _thread_ended(self) -> None:
        self.threads -= 1
