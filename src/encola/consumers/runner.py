"""One message, from its receive to its end: decode, limits, claim, run, store what came of it, settle.

    decode ──► due? ──► limits ──► claim ──► turn ──► run ──► complete ──► what follows ──► delete
       │         │         │         │                  │
     reject   release   release   replay,              retry, or fail and reject
                                  busy ...

The order at the end is what makes effects happen once: the record first, the message last. Whoever dies in between
leaves a message that comes again and finds the record: it is not run again.
"""

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec

from encola.consumers.attempt import Attempt, carry_of, job_of
from encola.consumers.connection import Connection
from encola.consumers.errors import AlreadyDone, BadMessageError, BadPayloadError, TaskExitError
from encola.consumers.execution import Executor
from encola.consumers.follow import JOIN_WINDOW, Follow
from encola.consumers.gate import Gate
from encola.consumers.jobstore import JobStoreError
from encola.consumers.leases import Hold
from encola.consumers.message import JobMessage, decode, due_in, trace_of
from encola.consumers.middleware import Outcome, tell_ended
from encola.consumers.payload import payload_hash
from encola.consumers.resources import Resources
from encola.consumers.results import NULL, encode_result
from encola.consumers.retry import Backoff
from encola.consumers.slots import Turn
from encola.consumers.task import Task
from encola.consumers.transport import Incoming, RefusedError, TransportError
from encola.consumers.verdicts import Again, describe, explanation, judge, text_of
from encola.consumers.workflow import TIMEOUT_TASK, JoinTimeout
from encola.engine import records

Answer = TypeVar("Answer")

UNKNOWN_TASK = "unknown-task"
UNKNOWN_RETRIES = 8
UNKNOWN_BACKOFF = Backoff(base=5.0, factor=2.0, cap=300.0)
"""A task that is not known here may be known to the workers of a newer version: it waits some minutes for them."""

BUSY_SECONDS_MIN = 1.0
"""Whatever this machine's clock says: a message that went back at once would come back at once."""

BUSY_SECONDS_MAX = 10.0
BUSY_JITTER = 0.5
INSIST_SECONDS_MIN, INSIST_SECONDS_MAX = 0.2, 5.0
"""Between two tries to tell what came of a job."""

NO_DEAD_LETTERS_SECONDS = 900.0
"""How long a message rests that belongs on a dead-letter queue when there is none."""

_log = logging.getLogger("encola.worker")


class Runner:
    """``tasks`` by name; ``worker`` is the name that records show. ``outcomes`` counts what came of attempts."""

    def __init__(
        self,
        connection: Connection,
        executor: Executor,
        resources: Resources,
        gate: Gate,
        follow: Follow,
        *,
        tasks: dict[str, Task[Any, Any]],
        lease: float,
        worker: str,
        chance: Callable[[], float] = random.random,
        wall: Callable[[], float] = time.time,
        outcomes: Counter[Outcome] | None = None,
    ) -> None:
        self._connection = connection
        self._executor = executor
        self._resources = resources
        self._gate = gate
        self._follow = follow
        self._tasks = tasks
        self._lease_ms = int(lease * 1000)
        self._worker = worker
        self._chance = chance
        self._wall = wall
        self._outcomes: Counter[Outcome] = Counter() if outcomes is None else outcomes
        self._deliveries = 0

    async def handle(self, hold: Hold, turn: Turn) -> bool:
        """Works on one message. Answers whether it is off the queue. ``turn`` ends as soon as the function is over.

        Raises nothing but cancellation: what goes wrong with the service is logged, and the message comes again.
        """
        try:
            return await self._handle(hold, turn)
        except (TransportError, JobStoreError) as error:
            _log.warning("message %s comes again: %s", hold.message.message_id, error)
        return False

    async def _handle(self, hold: Hold, turn: Turn) -> bool:
        message = hold.message
        try:
            attempt = self._read(message, hold)
            if attempt is None:
                return await self._timeout_of_group(message)
        except _NotDueError as error:
            await self._connection.release(message, error.seconds)
            return False
        except _UnknownTaskError as error:
            return await self._unknown(message, error)
        except BadMessageError as error:
            self._outcomes["dead"] += 1
            await self._follow.refused(message, error, self._tasks)
            return await self._reject(message, error.reason, str(error))
        try:
            return await self._claim_and_run(attempt, turn)
        except (TransportError, JobStoreError):
            raise
        except Exception as error:  # whatever it is: not the worker's end, but the job's
            _log.exception("job %s could not be run", attempt.job)
            return await self._failed(attempt, error)
        finally:
            self._outcomes[attempt.outcome] += 1
            if attempt.task.app.middleware:
                tell_ended(attempt.task.app.middleware, hold.job or job_of(attempt), attempt.outcome, attempt.seconds)

    async def give_back(self, hold: Hold) -> None:
        """A message that was not begun goes back to the queue, and the delivery does not count."""
        if hold.stopped != "lost":
            try:
                await self._connection.release(hold.message, 0)
            except TransportError as error:
                _log.warning("message %s comes again when its lease is over: %s", hold.message.message_id, error)

    # Reading ------------------------------------------------------------------------------------------

    def _read(self, message: Incoming, hold: Hold) -> Attempt | None:
        """None for a message of the runtime itself. Raises BadMessageError, _NotDueError, _UnknownTaskError."""
        if (seconds := due_in(message.attributes, self._wall())) > 0:
            raise _NotDueError(seconds)
        wish = decode(message.body)
        if wish.task == TIMEOUT_TASK:
            return None
        task = self._tasks.get(wish.task)
        if task is None:
            raise _UnknownTaskError(UNKNOWN_TASK, f"no task is called {wish.task[:100]!r}")
        if wish.app and wish.app != task.app.name:
            raise _UnknownTaskError(UNKNOWN_TASK, f"it is for the application {wish.app[:100]!r}")
        self._deliveries += 1
        owner = f"{self._worker}/{self._deliveries}"
        try:
            arguments = task.payload.decode(wish.args)
        except BadPayloadError as error:
            raise BadMessageError("bad-payload", str(error)) from None
        if not wish.job:
            wish = self._named(wish, task, message)
        job = wish.job
        if not job.startswith(f"{task.name}/"):
            raise BadMessageError("bad-message", f"the job {job[:100]!r} does not belong to the task {task.name}")
        if len(task.app.record_key(job)) > records.KEY_LENGTH_MAX or "\0" in job:
            raise BadMessageError("bad-message", f"no record can have the key {job[:100]!r}")
        try:
            limit_key = "" if task.settings.limit_per_key is None else task.limit_key(wish.args)
        except Exception as error:  # a limit_key may be any function
            raise BadMessageError("bad-payload", text_of(error)) from None
        return Attempt(message, hold, wish, task, job, arguments, owner, limit_key=limit_key)

    def _named(self, wish: JobMessage, task: Task[Any, Any], message: Incoming) -> JobMessage:
        """A message of a foreign producer, with the name that our own would have given it. Raises BadMessageError."""
        try:
            job, keyed = task.job_id(wish.args, token=message.message_id)
        except Exception as error:  # a key may be any function
            raise BadMessageError("bad-payload", text_of(error)) from None
        return msgspec.structs.replace(wish, job=job, keyed=keyed)

    async def _unknown(self, message: Incoming, error: BadMessageError) -> bool:
        if message.receives > UNKNOWN_RETRIES:
            await self._follow.refused(message, error, self._tasks)
            return await self._reject(message, error.reason, str(error))
        delay = UNKNOWN_BACKOFF.delay(message.receives, 0.5 + self._chance() / 2)
        _log.warning("%s: message %s waits %.0f s for a worker that knows it", error, message.message_id, delay)
        await self._connection.retry(message, delay)
        return False

    async def _timeout_of_group(self, message: Incoming) -> bool:
        try:
            timeout = msgspec.json.decode(decode(message.body).args, type=JoinTimeout)
        except msgspec.DecodeError as error:
            return await self._reject(message, "bad-message", str(error))
        await self._follow.timed_out(timeout, trace_of(message.attributes), message.sent_at)
        await self._connection.delete(message)
        return True

    # Claiming -----------------------------------------------------------------------------------------

    async def _claim_and_run(self, attempt: Attempt, turn: Turn) -> bool:
        wait = await self._gate.pass_(attempt)
        if wait is not None:
            return await self._release(attempt, wait)
        try:
            if not attempt.task.settings.track:
                return await self._run(attempt, turn)
            reply = await self._connection.command(self._claim(attempt))
            match reply:
                case records.Run():
                    attempt.fence, attempt.claims = reply.fence, reply.attempt
                    attempt.hold.record_key = self._key(attempt)
                    attempt.hold.owner_fence = (attempt.owner, reply.fence)
                    return await self._run(attempt, turn)
                case records.Replay():
                    return await self._again(attempt, reply.result)
                case records.Busy():
                    return await self._release(attempt, self._busy_delay(reply.lease_until))
                case records.Mismatch():
                    why = "another job has the same key and other arguments"
                    attempt.outcome = "dead"
                    failure = records.Failure(0, 0, "Mismatch", why)
                    await self._nothing_follows(attempt, failure)
                    return await self._reject(attempt.message, "mismatch", f"{attempt.job}: {why}")
                case records.Dead():
                    return await self._still_dead(attempt, reply.error)
                case _:
                    raise JobStoreError(f"the store answered {type(reply).__name__} to a claim")
        finally:
            await self._gate.leave(attempt)

    def _claim(self, attempt: Attempt) -> records.Claim:
        settings = attempt.task.settings
        return records.Claim(
            key=self._key(attempt),
            owner=attempt.owner,
            task=attempt.task.name,
            queue=attempt.message.queue,
            payload_hash=payload_hash(attempt.wish.args) if attempt.wish.keyed else "",
            lease=self._lease_ms,
            window=int(settings.window * 1000),
            sent_at=attempt.message.sent_at,
            worker=self._worker,
        )

    def _key(self, attempt: Attempt) -> str:
        return attempt.task.app.record_key(attempt.job)

    def _busy_delay(self, until: int) -> float:
        remaining = min(BUSY_SECONDS_MAX, max(BUSY_SECONDS_MIN, until / 1000 - self._wall()))
        return remaining * (1 + BUSY_JITTER * self._chance())

    async def _release(self, attempt: Attempt, seconds: float) -> bool:
        await self._connection.release(attempt.message, seconds)
        attempt.outcome = "released"
        return False

    async def _again(self, attempt: Attempt, result: msgspec.Raw) -> bool:
        """It was done before: what follows is done again, in case that its worker died before."""
        attempt.outcome = "replayed"
        await self._follow.completed(attempt.job, attempt.wish, result, *carry_of(attempt))
        await self._connection.delete(attempt.message)
        return True

    async def _still_dead(self, attempt: Attempt, error: records.Failure | None) -> bool:
        if error is None:  # cancelled
            attempt.outcome = "cancelled"
            error = records.Failure(0, 0, "Cancelled", "it was cancelled")
            await self._nothing_follows(attempt, error)
            await self._connection.delete(attempt.message)
            return True
        attempt.outcome = "dead"
        await self._nothing_follows(attempt, error)
        return await self._reject(attempt.message, "permanent", explanation(error))

    # Running ------------------------------------------------------------------------------------------

    async def _run(self, attempt: Attempt, turn: Turn) -> bool:
        hold, task = attempt.hold, attempt.task
        try:
            if attempt.number > task.settings.retries + 1:
                raise _CrashedError(
                    f"it was received {attempt.number - 1} times without an end (was its worker killed?)"
                )
            encoded = encode_result(await self._call(attempt, turn))
            if hold.stopped == "lost":  # it was told, and went on
                raise asyncio.CancelledError
        except asyncio.CancelledError:
            turn.end()
            if hold.stopped is not None:
                return await self._stopped(attempt)
            if (own := asyncio.current_task()) is not None and own.cancelling():
                raise
            return await self._failed(attempt, TaskExitError("the task was cancelled from within"))
        except AlreadyDone:
            turn.end()
            return await self._completed(attempt, NULL)
        except GeneratorExit:
            raise
        except BaseException as error:  # what is no Exception would end the worker, of whom it is not the fault
            turn.end()
            if hold.stopped is not None:  # what it raised because it was stopped
                return await self._stopped(attempt)
            if isinstance(error, Exception):
                return await self._failed(attempt, error)
            wrapped = TaskExitError(f"{error!r} was raised")
            wrapped.__cause__ = error
            return await self._failed(attempt, wrapped)
        turn.end()
        return await self._completed(attempt, encoded)

    async def _call(self, attempt: Attempt, turn: Turn) -> Any:
        hold, task = attempt.hold, attempt.task
        current = asyncio.current_task()
        hold.running = current
        try:
            if hold.stopped is not None:
                raise asyncio.CancelledError
            await turn.begin()
            job = hold.job = job_of(attempt)
            arguments = attempt.arguments
            if not self._executor.uses_process(task):
                for name, provider in task.payload.uses.items():
                    arguments[name] = await self._resources.get(provider)
            run = self._executor.run
            middleware = task.app.middleware
            if not middleware:
                return await run(task, arguments, job, attempt.wish.args)

            async def call(depth: int = 0) -> Any:
                if depth == len(middleware):
                    return await run(task, arguments, job, attempt.wish.args)
                return await middleware[depth].running(job, attempt.message.attributes, lambda: call(depth + 1))

            began = time.monotonic()
            try:
                return await call()
            finally:
                attempt.seconds = time.monotonic() - began
        finally:
            hold.running = None
            if hold.stopped is not None and current is not None:
                while current.uncancel():
                    pass

    # Ends ---------------------------------------------------------------------------------------------

    async def _completed(self, attempt: Attempt, result: msgspec.Raw) -> bool:
        if attempt.fence:
            owner, key = attempt.owner, self._key(attempt)
            attempt.hold.owner_fence = None
            window = int(attempt.task.settings.window * 1000)
            if attempt.wish.join is not None:  # its result waits for those of the others
                window = max(window, JOIN_WINDOW)
            complete = records.Complete(key, owner, attempt.fence, window, result)
            reply = await self._insist(attempt, lambda: self._connection.command(complete))
            if isinstance(reply, records.Lost):
                _log.warning("job %s: its lease was lost, and the result is thrown away", attempt.job)
                return False
            attempt.outcome = "completed"
            if attempt.wish.then or attempt.wish.join:
                await self._follow.completed(attempt.job, attempt.wish, result, *carry_of(attempt))
        await self._insist(attempt, lambda: self._connection.delete(attempt.message))
        attempt.outcome = "completed"
        return True

    async def _insist(self, attempt: Attempt, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        """Says what came of a job: again and again while its lease is held, if the service cannot be reached.

        Otherwise what was done would be done once more. Raises JobStoreError, TransportError.
        """
        pause, patience = INSIST_SECONDS_MIN, self._lease_ms / 1000
        while True:
            try:
                return await ask()
            except RefusedError:
                raise
            except (JobStoreError, TransportError) as error:
                if attempt.hold.stopped is not None or patience <= 0:
                    raise
                _log.warning("job %s is over, and that could not be told yet: %s", attempt.job, error)
            await asyncio.sleep(pause)
            patience -= pause
            pause = min(INSIST_SECONDS_MAX, pause * 2)

    async def _failed(self, attempt: Attempt, error: Exception) -> bool:
        settings = attempt.task.settings
        verdict = judge(error, attempt.number, settings, self._chance())
        reason = "crashed" if isinstance(error, _CrashedError) else "" if isinstance(verdict, Again) else verdict.reason
        failure = describe(_cause(error), attempt.number, int(self._wall() * 1000), self._worker)
        final = not isinstance(verdict, Again)
        if attempt.fence:
            attempt.hold.owner_fence = None
            window = int(settings.window * 1000)
            if isinstance(verdict, Again):  # what is known of it outlives the pause
                window = max(window, int(verdict.delay * 1000) + self._lease_ms)
            fail = records.Fail(self._key(attempt), attempt.owner, attempt.fence, window, failure, final)
            reply = await self._insist(attempt, lambda: self._connection.command(fail))
            if isinstance(reply, records.Lost):
                _log.warning("job %s failed, but its lease was lost before: nothing is changed", attempt.job)
                return False
        attempt.outcome = "dead" if final else "retrying"
        if isinstance(verdict, Again):
            _log.warning(
                "job %s, attempt %d failed, again in %.1f s: %s",
                attempt.job, attempt.number, verdict.delay, failure.type,
            )  # fmt: skip
            await self._connection.retry(attempt.message, verdict.delay)
            return False
        _log.error("job %s failed for good (%s): %s", attempt.job, reason, failure.type)
        if attempt.fence:
            await self._nothing_follows(attempt, failure)
        return await self._reject(attempt.message, reason, explanation(failure))

    async def _stopped(self, attempt: Attempt) -> bool:
        """The handler was stopped: the lease is lost, somebody cancelled the job, or the worker ends."""
        hold = attempt.hold
        if hold.stopped == "lost":
            _log.warning("job %s was stopped: its lease was lost", attempt.job)
            return False
        key, fence = self._key(attempt), attempt.fence
        hold.owner_fence = None
        if hold.stopped == "cancelled":
            _log.info("job %s was cancelled", attempt.job)
            failure = records.Failure(attempt.number, int(self._wall() * 1000), "Cancelled", "it was cancelled")
            window = int(attempt.task.settings.window * 1000)
            await self._connection.command(records.Fail(key, attempt.owner, fence, window, failure, final=True))
            attempt.outcome = "cancelled"
            await self._nothing_follows(attempt, failure)
            await self._connection.delete(attempt.message)
            return True
        if fence:
            await self._connection.command(records.Release(key, attempt.owner, fence))
        return await self._release(attempt, 0)

    async def _nothing_follows(self, attempt: Attempt, error: records.Failure) -> None:
        """The job failed for good, or was cancelled: so do the steps behind it, and a group does not wait for it."""
        await self._follow.failed(attempt.job, attempt.wish, error, *carry_of(attempt))

    async def _reject(self, message: Incoming, reason: str, error: str) -> bool:
        """To the dead-letter queue; without one the message rests, and is told of, until it is too old."""
        _log.error("message %s goes to the dead-letter queue: %s", message.message_id, reason)
        try:
            await self._connection.reject(message, reason, error)
        except RefusedError as refused:
            _log.error("message %s can't be dead-lettered, and rests: %s", message.message_id, refused)
            await self._connection.retry(message, NO_DEAD_LETTERS_SECONDS)
            return False
        return True


def _cause(error: Exception) -> BaseException:
    return error.__cause__ if isinstance(error, TaskExitError) and error.__cause__ is not None else error


class _NotDueError(Exception):
    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds


class _UnknownTaskError(BadMessageError):
    """It may be known elsewhere."""


class _CrashedError(Exception):
    """Earlier attempts ended without a word."""
