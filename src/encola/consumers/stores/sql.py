"""What the SQL stores of records share: the table, its columns, and the search, in SQLite's and PostgreSQL's words.

``doc`` is the record; the columns beside it are what ``find`` looks at. No rule is in SQL.
"""

from collections.abc import Sequence
from typing import Any

from encola.consumers.jobstore import FOUND_MAX, JobQuery
from encola.engine.message import Instant
from encola.engine.records import Job, Record, pack, unpack

TABLE = "encola_record"
SWEPT_MAX = 1000
"""Records past their time that one call removes."""

SWEEP_SECONDS = 60.0
COLUMNS = ("key", "task", "queue", "state", "updated_at", "expires_at", "doc")

Row = tuple[str, str | None, str | None, str | None, Instant, Instant, bytes]


def ddl(blob: str, text: str) -> tuple[str, ...]:
    """The statements that make the table; ``text`` is a type whose order is that of code points."""
    return (
        f"""CREATE TABLE IF NOT EXISTS {TABLE} (
            key {text} PRIMARY KEY, task TEXT, queue TEXT, state TEXT,
            updated_at BIGINT NOT NULL, expires_at BIGINT NOT NULL, doc {blob} NOT NULL)""",
        f"CREATE INDEX IF NOT EXISTS {TABLE}_changed ON {TABLE} (updated_at, key)",
        f"CREATE INDEX IF NOT EXISTS {TABLE}_expiry ON {TABLE} (expires_at)",
    )


def statements(mark: str) -> dict[str, str]:
    """The statements by name; ``mark`` stands for a parameter."""
    values = ", ".join([mark] * len(COLUMNS))
    updates = ", ".join(f"{column} = excluded.{column}" for column in COLUMNS[1:])
    return {
        "save": f"INSERT INTO {TABLE} ({', '.join(COLUMNS)}) VALUES ({values})"  # noqa: S608 - names of ours only
        f" ON CONFLICT (key) DO UPDATE SET {updates}",
        "remove": f"DELETE FROM {TABLE} WHERE key = {mark}",  # noqa: S608
        "sweep": f"DELETE FROM {TABLE} WHERE key IN"  # noqa: S608
        f" (SELECT key FROM {TABLE} WHERE expires_at <= {mark} LIMIT {SWEPT_MAX})",
    }


def row_of(record: Record, now: Instant) -> Row:
    """The row of a record."""
    if isinstance(record, Job):
        return (
            record.key, record.task, record.queue, record.state, record.updated_at, record.expires_at, pack(record),
        )  # fmt: skip
    return (record.key, None, None, None, now, record.expires_at, pack(record))


def job_of(doc: bytes | None, now: Instant) -> Job | None:
    """The job of a row, unless it is no job or past its time."""
    record = unpack(bytes(doc)) if doc is not None else None
    return record if isinstance(record, Job) and record.expires_at > now else None


def search(query: JobQuery, now: Instant, mark: str) -> tuple[str, Sequence[Any]]:
    """The statement that finds jobs, and its parameters."""
    where, values = [f"state IS NOT NULL AND expires_at > {mark}"], [now]
    parameters: list[Any] = list(values)
    if query.prefix:
        where.append(f"substr(key, 1, {len(query.prefix)}) = {mark}")
        parameters.append(query.prefix)
    for column, value in (("task", query.task), ("queue", query.queue)):
        if value is not None:
            where.append(f"{column} = {mark}")
            parameters.append(value)
    if query.states:
        where.append(f"state IN ({', '.join([mark] * len(query.states))})")
        parameters += query.states
    if query.before is not None:
        where.append(f"(updated_at, key) < ({mark}, {mark})")
        parameters += query.before
    limit = max(0, min(query.limit, FOUND_MAX))
    text = f"SELECT doc FROM {TABLE} WHERE {' AND '.join(where)} ORDER BY updated_at DESC, key DESC LIMIT {limit}"  # noqa: S608
    return text, parameters
