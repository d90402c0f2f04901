"""The embedded store: one SQLite file, fsynced before each answer."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import apsw

from encola.engine.changes import Applied, Change, Claim, Wakeup
from encola.engine.message import Counts, Delivery, Instant, MessageId, Peek, QueueId
from encola.engine.metrics import Backlog, Vitals
from encola.engine.records import FoundJobs, Job, JobSearch
from encola.engine.store import Catalog, StoreFailedError
from encola.stores.sqlite.backlogs import Backlogs
from encola.stores.sqlite.browser import Browser
from encola.stores.sqlite.claimer import Claimer
from encola.stores.sqlite.commit import GroupCommit
from encola.stores.sqlite.connection import (
    FILE_NAME,
    bytes_of,
    make_directory,
    open_copier,
    open_error,
    open_reader,
    open_writer,
    store_error,
)
from encola.stores.sqlite.lanes import Lanes
from encola.stores.sqlite.ledger import Ledger
from encola.stores.sqlite.lock import DirectoryLock
from encola.stores.sqlite.reader import Reader
from encola.stores.sqlite.records import Finder
from encola.stores.sqlite.schema import prepare
from encola.stores.sqlite.writer import Writer

Result = TypeVar("Result")

_log = logging.getLogger("encola.store")


class SqliteStore:
    """A store in ``directory``, which it owns while it is open (StoreInUseError if another process does).

    ``on_failure`` is called once when the medium has failed for good (see ``commit``); ``on_full`` when it begins to
    refuse writes for want of room (True), and when it takes them again (False).
    """

    def __init__(
        self,
        directory: Path,
        *,
        on_failure: Callable[[StoreFailedError], None] = lambda error: None,
        on_full: Callable[[bool], None] = lambda full: None,
        vfs: str | None = None,
    ) -> None:
        self._directory = directory
        self._on_failure = on_failure
        self._on_full = on_full
        self._vfs = vfs
        self._lock = DirectoryLock(directory)
        self._listeners: list[Callable[[Wakeup], None]] = []
        self._connections: list[apsw.Connection] = []

    async def open(self) -> None:
        """Raises StoreInUseError, StoreError (newer schema), StoreFullError, StoreFailedError."""
        try:
            make_directory(self._directory)
            self._lock.acquire()
            self._open(self._directory / FILE_NAME)
        except (apsw.Error, OSError) as error:
            self._abandon()
            raise open_error(self._directory, error) from error
        except BaseException:
            self._abandon()
            raise

    def _open(self, path: Path) -> None:
        writer = open_writer(path, self._vfs)
        self._connections.append(writer)
        prepare(writer)
        self._ledger = Ledger(writer)
        self._ledger.load()
        lanes = Lanes(writer, self._ledger)
        self._apply = Writer(writer, self._ledger, lanes).apply
        self._claim = Claimer(writer, self._ledger, lanes).claim
        reader, long_reader = self._open_reader(path), self._open_reader(path)
        self._reader, self._long_reader = Reader(reader), Reader(long_reader)
        self._browser = Browser(long_reader)
        self._jobs, self._find_jobs = Finder(reader).jobs, Finder(long_reader).find
        self._read_thread = ThreadPoolExecutor(1, thread_name_prefix="encola-read")
        self._backlogs = Backlogs(self._open_reader(path)).look
        self._backlogs_thread = ThreadPoolExecutor(1, thread_name_prefix="encola-backlogs")
        copier = open_copier(path, self._vfs)
        self._connections.append(copier)
        self._group = GroupCommit(writer, copier, self._ledger, self._committed, self._on_failure, self._on_full)

    def _open_reader(self, path: Path) -> apsw.Connection:
        connection = open_reader(path, self._vfs)
        self._connections.append(connection)
        return connection

    def _abandon(self) -> None:
        """Leaves the directory to others."""
        while self._connections:
            self._connections.pop().close()  # the writer last: it was opened first
        self._lock.release()

    async def close(self) -> None:
        """Commits what is under way and closes the file."""
        await self._group.close()
        self._read_thread.shutdown()
        self._backlogs_thread.shutdown()
        self._abandon()

    def apply(self, changes: Sequence[Change]) -> Awaitable[Sequence[Applied]]:
        return self._group.submit(self._apply, changes)

    def claim(self, claim: Claim) -> Awaitable[Sequence[Delivery]]:
        return self._group.submit(self._claim, claim)

    async def catalog(self) -> Catalog:
        return self._look(self._reader.catalog)

    async def next_ready(self, queue: QueueId, now: Instant) -> Instant | None:
        shelf = self._ledger.shelves.get(queue)
        return self._look(self._reader.next_ready, shelf) if shelf else None

    async def browse(
        self, queue: QueueId, after: MessageId | None, limit: int, *, newest_first: bool = False
    ) -> Sequence[Peek]:
        shelf = self._ledger.shelves.get(queue)
        return await self._read(self._browser.browse, shelf, after, limit, newest_first) if shelf else ()

    async def browse_from(self, queue: QueueId, sent_at: Instant) -> MessageId:
        shelf = self._ledger.shelves.get(queue)
        return await self._read(self._browser.browse_from, shelf, sent_at) if shelf else MessageId(0)

    async def peek(self, queue: QueueId, messages: Sequence[MessageId]) -> Sequence[Peek | None]:
        shelf = self._ledger.shelves.get(queue)
        return await self._read(self._browser.peek, shelf, messages) if shelf else [None] * len(messages)

    async def counts(self, queues: Sequence[QueueId], now: Instant) -> Mapping[QueueId, Counts]:
        shelves = [(queue, self._ledger.shelves[queue]) for queue in queues if queue in self._ledger.shelves]
        return {queue: await self._read(self._long_reader.counts, shelf, now) for queue, shelf in shelves}

    async def backlogs(self, queues: Sequence[QueueId], now: Instant) -> Mapping[QueueId, Backlog]:
        shelves = [shelf for shelf in map(self._ledger.shelves.get, queues) if shelf]
        held = [shelf for shelf in shelves if shelf.messages]
        found = {shelf.queue.id: Backlog() for shelf in shelves if not shelf.messages}
        if held:
            found.update(await self._read(self._backlogs, held, now, thread=self._backlogs_thread))
        return found

    def vitals(self) -> Vitals:
        vitals = self._group.vitals.take()
        vitals.bytes = bytes_of(self._directory / FILE_NAME)
        return vitals

    async def leased_by_group(self, queue: QueueId, now: Instant) -> Mapping[str, int]:
        shelf = self._ledger.shelves.get(queue)
        return await self._read(self._long_reader.leased_by_group, shelf, now) if shelf else {}

    async def jobs(self, account: str, keys: Sequence[str], now: Instant) -> Sequence[Job | None]:
        return self._look(self._jobs, account, keys, now)

    async def find_jobs(self, account: str, search: JobSearch, now: Instant) -> FoundJobs:
        return await self._read(self._find_jobs, account, search, now)

    def watch(self, listener: Callable[[Wakeup], None]) -> None:
        self._listeners.append(listener)

    def _committed(self, wakeup: Wakeup) -> None:
        for listener in self._listeners:
            try:
                listener(wakeup)
            except Exception:  # its own fault: what was committed is answered, and the next commit goes on
                _log.exception("a watcher of the store failed")

    def _look(self, read: Callable[..., Result], *arguments: Any) -> Result:
        """A read that takes a few lookups: at once."""
        try:
            return read(*arguments)
        except apsw.Error as error:
            raise store_error(error) from error

    async def _read(
        self, read: Callable[..., Result], *arguments: Any, thread: ThreadPoolExecutor | None = None
    ) -> Result:
        """A read that may take long: in a thread, so that nobody's message waits for it."""
        try:
            return await asyncio.get_running_loop().run_in_executor(thread or self._read_thread, read, *arguments)
        except apsw.Error as error:
            raise store_error(error) from error
