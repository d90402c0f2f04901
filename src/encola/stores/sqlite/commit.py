"""Group commit: what arrives together is fsynced together.

Calls run one after the other on the event loop, inside one transaction; only COMMIT, which waits for the disk, runs in
a thread of its own. Calls that arrive meanwhile queue up and make the next transaction, so the number of fsyncs
follows the disk and not the load. A call's future is done after its COMMIT returned, never before.

    submit -> [waiting] -> _turn: BEGIN, run calls -> thread: COMMIT (fsync) -> _settle: answers go out -> _turn ...

When a call raises, the transaction is rolled back and its calls run again one by one, each in a transaction of its
own, so that only the one at fault fails. After a failed fsync nothing is acknowledged any more: the kernel may have
dropped the pages, so the log can't be trusted until the process starts anew and recovers from what is on the disk.
"""

import asyncio
import logging
import queue
import threading
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from typing import Any

import apsw
import msgspec

from encola.engine.changes import Wakeup
from encola.engine.metrics import COMMIT_BUCKETS, GROUP_BUCKETS, Vitals
from encola.engine.store import StoreError, StoreFailedError, StoreFullError
from encola.stores.sqlite.checkpoint import Checkpointer
from encola.stores.sqlite.connection import store_error
from encola.stores.sqlite.ledger import Ledger

CALLS_MAX = 256
BYTES_MAX = 8 * 1024 * 1024
"""A transaction takes no more calls after this many, or this many bytes of bodies."""

FULL_SECONDS = 5.0
"""A medium counts as full for so long after it refused a write: a small one may still fit where others do not."""

_log = logging.getLogger("encola.store")


class _Call(msgspec.Struct):
    """One call of the store that waits for its turn, then for its COMMIT."""

    work: Callable[[Any], Any]
    argument: Any
    future: asyncio.Future[Any]
    result: Any = None


class GroupCommit:
    """See the module. ``on_commit`` is told the queues in which something became ready, after each commit."""

    def __init__(
        self,
        connection: apsw.Connection,
        checkpoints: apsw.Connection,
        ledger: Ledger,
        on_commit: Callable[[Wakeup], None],
        on_failure: Callable[[StoreFailedError], None],
        on_full: Callable[[bool], None],
    ) -> None:
        self._connection = connection
        self._execute = connection.execute
        self._ledger = ledger
        self._on_commit = on_commit
        self._on_failure = on_failure
        self._on_full = on_full
        self._full = False
        self._full_at = 0.0
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[_Call] = deque()
        self._alone: deque[_Call] = deque()  # to be run one by one, after a call of their group had failed
        self._busy = False  # a turn is scheduled or a COMMIT runs: the connection is not ours
        self._failed: StoreFailedError | None = None
        self._closed = False
        self._idle = asyncio.Event()
        self._idle.set()
        self.vitals = Vitals()  # written by the thread
        self._checkpointer = Checkpointer(connection, checkpoints, self._checkpoint_failed)
        self._commits: queue.SimpleQueue[list[_Call] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._commit_forever, name="encola-commit", daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[Any], Any], argument: Any) -> "asyncio.Future[Any]":
        """Runs ``work(argument)`` in the next transaction. The future raises StoreError if it was not committed."""
        future = self._loop.create_future()
        if self._failed is not None or self._closed:
            future.set_exception(self._failed or StoreError("the store is closed"))
            return future
        self._waiting.append(_Call(work, argument, future))
        if not self._busy:
            self._busy = True
            self._idle.clear()
            self._loop.call_soon(self._turn)
        return future

    async def close(self) -> None:
        """Commits what was submitted, then stops the thread."""
        self._closed = True
        await self._idle.wait()
        self._commits.put(None)
        await asyncio.get_running_loop().run_in_executor(None, self._join)

    def _join(self) -> None:
        self._thread.join()
        self._checkpointer.close()

    # On the event loop ------------------------------------------------------------------------------

    def _turn(self) -> None:
        """Runs the waiting calls in one transaction and hands it to the thread for COMMIT."""
        while self._waiting or self._alone:
            calls = self._run_calls()
            if calls:
                self._commits.put(calls)
                return
        self._busy = False
        self._idle.set()

    def _run_calls(self) -> list[_Call]:
        """Answers the calls that wait for COMMIT; none if nothing was written (then they are answered)."""
        alone = bool(self._alone)
        waiting = self._alone if alone else self._waiting
        ledger = self._ledger
        calls: list[_Call] = []
        try:
            self._execute("BEGIN IMMEDIATE")
            ledger.begin()
            while waiting and len(calls) < CALLS_MAX and ledger.bytes_written < BYTES_MAX:
                call = waiting.popleft()
                calls.append(call)
                call.result = call.work(call.argument)
                if alone:
                    break
            if ledger.dirty:
                ledger.finish()
                return calls
            self._execute("ROLLBACK")
        except Exception as error:
            self._undo()
            self._refuse(calls or [waiting.popleft()], error)
            return []
        self._answer(calls)
        return []

    def _refuse(self, calls: list[_Call], error: Exception) -> None:
        """A transaction failed. Storage errors fail all of it; any other error is the fault of one call."""
        if isinstance(error, apsw.Error) and not isinstance(error, apsw.ConstraintError | apsw.MismatchError):
            self._fail(calls, store_error(error))
        elif len(calls) == 1:
            if not calls[0].future.done():
                calls[0].future.set_exception(store_error(error) if isinstance(error, apsw.Error) else error)
        else:
            self._alone.extend(calls)

    def _fail(self, calls: list[_Call], error: StoreError) -> None:
        if isinstance(error, StoreFailedError) and self._failed is None:
            self._failed = error
            _log.critical("the storage medium failed, nothing is acknowledged any more: %s", error)
            self._loop.call_soon(self._on_failure, error)
        if isinstance(error, StoreFullError):
            self._full_at = self._loop.time()
            self._note_full(True)
        if self._failed is not None:
            calls = [*calls, *self._alone, *self._waiting]
            self._alone.clear()
            self._waiting.clear()
        for call in calls:
            if not call.future.done():
                call.future.set_exception(self._failed or error)

    def _note_full(self, full: bool) -> None:
        if full is self._full:
            return
        self._full = full
        if full:
            _log.error("the storage medium takes no more (full, or read-only): writes are refused until there is room")
        else:
            _log.warning("the storage medium takes writes again")
        self._on_full(full)

    def _undo(self) -> None:
        try:
            if self._connection.in_transaction:
                self._execute("ROLLBACK")
            self._ledger.load()
        except apsw.Error as error:
            self._fail([], StoreFailedError(f"could not roll back: {error}"))

    def _answer(self, calls: list[_Call]) -> None:
        for call in calls:
            if not call.future.done():  # a caller may have gone away meanwhile
                call.future.set_result(call.result)

    def _committed(self, calls: list[_Call], error: Exception | None) -> None:
        """COMMIT returned: with it the answers may go out."""
        if error is not None:
            self._undo()
            self._refuse(calls, error)
            return
        if self._full and self._loop.time() - self._full_at > FULL_SECONDS:
            self._note_full(False)
        wakeups = self._ledger.wakeups
        self._answer(calls)
        for queue_id, at in wakeups.items():
            self._on_commit(Wakeup(queue_id, at))

    def _on_checkpoint_error(self, error: Exception) -> None:
        mapped = store_error(error) if isinstance(error, apsw.Error) else StoreError(str(error))
        if isinstance(mapped, StoreFailedError):
            self._fail([], mapped)
        else:  # no room to copy the log: nothing is lost, it stays in the log
            _log.warning("checkpoint put off: %s", type(error).__name__)

    # In the thread ----------------------------------------------------------------------------------

    def _commit_forever(self) -> None:
        while (calls := self._commits.get()) is not None:
            error: Exception | None = None
            began = time.perf_counter()
            try:
                self._execute("COMMIT")
                self._measure(len(calls), time.perf_counter() - began)
            except Exception as caught:
                error = caught
            if error is None and self._checkpointer.wants_rest():
                # The answers do not wait for the checkpoint, the next transaction does.
                self._loop.call_soon_threadsafe(self._committed, calls, None)
                self._checkpointer.copy_rest()
                self._loop.call_soon_threadsafe(self._turn)
            else:
                self._loop.call_soon_threadsafe(self._after_commit, calls, error)

    def _measure(self, calls: int, seconds: float) -> None:
        vitals = self.vitals
        vitals.commits += 1
        vitals.calls += calls
        vitals.commit_seconds += seconds
        vitals.commit_seconds_max = max(vitals.commit_seconds_max, seconds)
        vitals.commit_buckets[bisect_left(COMMIT_BUCKETS, seconds)] += 1
        vitals.group_buckets[bisect_left(GROUP_BUCKETS, calls)] += 1

    def _after_commit(self, calls: list[_Call], error: Exception | None) -> None:
        self._committed(calls, error)
        self._turn()

    def _checkpoint_failed(self, error: Exception) -> None:
        self._loop.call_soon_threadsafe(self._on_checkpoint_error, error)
