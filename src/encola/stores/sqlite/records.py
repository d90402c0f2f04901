"""Records of jobs: amended within the group commit, looked up and searched on the connections of readers.

What a command makes of a record is decided by ``engine.record_rules``; this loads and saves. The columns besides
``doc`` repeat those fields by which jobs are found and records swept; no rule reads them.
"""

import heapq
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from operator import itemgetter
from typing import get_args

import apsw

from encola.engine.changes import Amend, Refused
from encola.engine.message import Instant
from encola.engine.record_rules import WrongRecordError, decide
from encola.engine.records import (
    KEY_LENGTH_MAX,
    FoundJobs,
    Job,
    JobSearch,
    JobState,
    Record,
    Reply,
    end_of,
    pack,
    unpack,
)
from encola.stores.sqlite.connection import Execute
from encola.stores.sqlite.ledger import Ledger

LOAD = "SELECT id, doc FROM record WHERE account = ? AND key = ?"
INSERT = (
    "INSERT INTO record (state, task, queue, updated_at, expires_at, doc, account, key) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
UPDATE = "UPDATE record SET state = ?, task = ?, queue = ?, updated_at = ?, expires_at = ?, doc = ? WHERE id = ?"
DELETE = "DELETE FROM record WHERE id = ?"
OVER = "SELECT id FROM record WHERE expires_at <= ? LIMIT ?"

LOOK_UP = "SELECT doc FROM record WHERE account = ? AND key = ? AND state IS NOT NULL AND expires_at > ?"
BY_STATE = (
    "SELECT updated_at, key, state, task, queue, expires_at, id FROM record"
    " WHERE account = ? AND state = ? AND (updated_at, key) < (?, ?) ORDER BY updated_at DESC, key DESC"
)
BY_KEY = (
    "SELECT updated_at, key, state, task, queue, expires_at, id FROM record"
    " WHERE account = ? AND key >= ? AND key < ? AND state IS NOT NULL LIMIT ?"
)
DOC = "SELECT doc FROM record WHERE id = ?"

STATES: tuple[JobState, ...] = get_args(JobState)
LOOKED_AT_MAX = 10_000
FOUND_BYTES_MAX = 4 * 1024 * 1024
"""A search ends with a page that is not full after so many rows, or so many bytes."""

SORTED_MAX = 2_000
"""Jobs are in the order of their last change by state only. Of a prefix that so few keys have all are looked at and
sorted; else it is quicker to walk from the newest on."""

_PAST_ALL_KEYS = "\U0010ffff" * (KEY_LENGTH_MAX + 1)
_BEFORE_ALL_ELSE = (2**62, "")

_Row = tuple[Instant, str, str, str, str, Instant, int]


class Amender:
    """Carries out ``Amend``; used by ``Writer`` within its transaction."""

    def __init__(self, connection: apsw.Connection, ledger: Ledger) -> None:
        self._connection = connection
        self._execute: Execute = connection.execute
        self._ledger = ledger

    def amend(self, amend: Amend) -> Reply | Refused:
        """Loads the record, asks the rule, saves what it answers."""
        row = self._execute(LOAD, (amend.account, amend.command.key)).fetchone()
        record = None if row is None else unpack(row[1])
        try:
            changed, reply = decide(record, amend.command, amend.now)
        except WrongRecordError as error:
            return Refused(str(error))
        if changed is not record:
            self._ledger.dirty = True
            self._ledger.saw(amend.now)
            if changed is not None:
                self._save(amend.account, changed, None if row is None else row[0])
            else:
                self._execute(DELETE, (row[0],))
        return reply

    def _save(self, account: str, record: Record, row: int | None) -> None:
        doc = pack(record)
        self._ledger.bytes_written += len(doc)
        if row is None:
            self._execute(INSERT, (*columns_of(record), doc, account, record.key))
        else:
            self._execute(UPDATE, (*columns_of(record), doc, row))

    def forget(self, now: Instant, limit: int) -> int:
        """Removes up to ``limit`` records that are past their time; answers how many."""
        over = self._execute(OVER, (now, limit)).fetchall()
        if over:
            self._connection.executemany(DELETE, over)
            self._ledger.dirty = True
        return len(over)


class Finder:
    """Reads jobs on a connection of its own. One finder serves one thread at a time."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._execute: Execute = connection.execute

    def jobs(self, account: str, keys: Sequence[str], now: Instant) -> list[Job | None]:
        return [self._job(LOOK_UP, (account, key, now)) for key in keys]

    def find(self, account: str, search: JobSearch, now: Instant) -> FoundJobs:
        """Walks over what may fit, the newest first, until the page is full or enough was looked at."""
        self._execute("BEGIN")  # one snapshot for all that is read
        try:
            with closing(self._candidates(account, search)) as candidates:
                return self._page(candidates, search, now)
        finally:
            self._execute("COMMIT")

    def _page(self, candidates: Iterator[_Row], search: JobSearch, now: Instant) -> FoundJobs:
        found = FoundJobs([])
        size = 0
        last: tuple[Instant, str] | None = None
        for looked_at, (updated_at, key, state, task, queue, expires_at, row) in enumerate(candidates):
            if len(found.jobs) >= search.limit or looked_at >= LOOKED_AT_MAX or size >= FOUND_BYTES_MAX:
                found.next = last
                break
            last = updated_at, key
            if expires_at > now and _fits(search, key, state, task, queue):
                (doc,) = self._execute(DOC, (row,)).fetchone()
                size += len(doc)
                found.jobs.append(_job_of(doc))
        return found

    def _candidates(self, account: str, search: JobSearch) -> Generator[_Row, None, None]:
        """Rows of jobs, the newest first, all of them older than ``search.before``."""
        before = search.before or _BEFORE_ALL_ELSE
        if search.prefix:
            end = end_of(search.prefix) or _PAST_ALL_KEYS
            rows = self._execute(BY_KEY, (account, search.prefix, end, SORTED_MAX + 1)).fetchall()
            if len(rows) <= SORTED_MAX:
                yield from sorted((row for row in rows if row[:2] < before), reverse=True)
                return
        states = dict.fromkeys(search.states or STATES)
        walks = [self._execute(BY_STATE, (account, state, *before)) for state in states]
        try:
            yield from heapq.merge(*walks, key=itemgetter(0, 1), reverse=True)
        finally:
            for walk in walks:  # a walk that is not at its end would keep its snapshot
                walk.close(force=True)

    def _job(self, query: str, bindings: tuple[str | int, ...]) -> Job | None:
        row = self._execute(query, bindings).fetchone()
        return None if row is None else _job_of(row[0])


def columns_of(record: Record) -> tuple[str | None, str | None, str | None, Instant, Instant]:
    """State, task, queue, the last change and the end of a record; what is no job has the end only."""
    if isinstance(record, Job):
        return record.state, record.task, record.queue, record.updated_at, record.expires_at
    return None, None, None, 0, record.expires_at


def _fits(search: JobSearch, key: str, state: str, task: str, queue: str) -> bool:
    return (
        key.startswith(search.prefix)
        and search.task in (None, task)
        and search.queue in (None, queue)
        and (not search.states or state in search.states)
    )


def _job_of(doc: bytes) -> Job:
    job = unpack(doc)
    assert isinstance(job, Job)  # noqa: S101 - only jobs have a state
    return job
