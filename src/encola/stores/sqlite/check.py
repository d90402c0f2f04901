"""Is a data directory whole? SQLite's own check, and what must hold between our tables."""

import contextlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import apsw
import msgspec

from encola.engine.queue import Address, Queue
from encola.engine.records import unpack
from encola.engine.store import StoreError
from encola.stores.sqlite.connection import FILE_NAME, Execute, open_reader, store_error
from encola.stores.sqlite.records import columns_of
from encola.stores.sqlite.schema import VERSION

PROBLEMS_MAX = 100

INVARIANTS = {
    "message without a body": "SELECT id FROM message WHERE id NOT IN (SELECT id FROM body)",
    "body without a message": "SELECT id FROM body WHERE id NOT IN (SELECT id FROM message)",
    "message without a lane": "SELECT id FROM message WHERE lane NOT IN (SELECT id FROM lane)",
    "lane without a partition": "SELECT id FROM lane WHERE partition NOT IN (SELECT id FROM partition)",
    "queue without its partition": "SELECT id FROM queue WHERE partition NOT IN (SELECT id FROM partition)",
    "partition without its common lane": (
        "SELECT p.id FROM partition p JOIN queue q ON q.partition = p.id"
        " WHERE NOT EXISTS (SELECT 1 FROM lane l WHERE l.id = p.common_lane AND l.partition = p.id AND l.name = '')"
    ),
    "partition of two queues": "SELECT partition FROM queue GROUP BY partition HAVING count(*) > 1",
    "wrong number of messages in partition": (
        "SELECT p.id FROM partition p JOIN queue q ON q.partition = p.id WHERE p.messages <>"
        " (SELECT count(*) FROM lane l JOIN message m ON m.lane = l.id WHERE l.partition = p.id)"
    ),
    "message id beyond the reserved ones": (
        "SELECT id FROM message WHERE id > (SELECT value FROM meta WHERE key = 'ids_reserved')"
    ),
    "lane in which nothing waits": (
        "SELECT l.id FROM queue q JOIN partition p ON p.id = q.partition JOIN lane l ON l.partition = p.id"
        " WHERE l.id <> p.common_lane AND NOT EXISTS (SELECT 1 FROM message m WHERE m.lane = l.id)"
    ),
    "lane of a standard queue with a wrong time": (
        "SELECT l.id FROM queue q JOIN partition p ON p.id = q.partition JOIN lane l ON l.partition = p.id"
        " WHERE l.id <> p.common_lane AND (l.ready_at, l.head) <>"
        " (SELECT m.ready_at, m.id FROM message m WHERE m.lane = l.id ORDER BY m.ready_at, m.id LIMIT 1)"
        " AND EXISTS (SELECT 1 FROM message m WHERE m.lane = l.id AND m.ordered = 0)"
    ),
    "lane of an ordered queue with a wrong time": (
        "SELECT l.id FROM queue q JOIN lane l ON l.partition = q.partition"
        " WHERE (l.ready_at, l.head) <> (SELECT max(m.ready_at, coalesce("
        "(SELECT max(d.ready_at) FROM message d WHERE d.lane = l.id AND d.ordered = 1 AND d.leased_at > 0), 0)), m.id"
        " FROM message m WHERE m.lane = l.id AND m.ordered = 1 ORDER BY m.id LIMIT 1)"
    ),
    "deduplication id without a partition": (
        "SELECT message FROM dedup WHERE partition NOT IN (SELECT id FROM partition)"
    ),
}
"""What must hold between the tables: each query finds those for which it does not."""


def check(directory: Path) -> list[str]:
    """The problems found, at most ``PROBLEMS_MAX`` (none: the data are whole). May run beside a server.

    Raises StoreError when there is nothing to check or it can't be read.
    """
    path = directory / FILE_NAME
    if not path.is_file():
        raise StoreError(f"no encola data in {directory}")
    try:
        with contextlib.closing(open_reader(path)) as connection:
            connection.execute("BEGIN")  # one snapshot for all
            return _problems(connection)
    except (apsw.CorruptError, apsw.NotADBError) as error:
        return [str(error)]
    except apsw.Error as error:
        raise store_error(error) from error


def _problems(connection: apsw.Connection) -> list[str]:
    version = connection.pragma("user_version")
    if version != VERSION:
        return [f"schema version {version}, expected {VERSION}"]
    execute: Execute = connection.execute
    problems = [text for (text,) in execute(f"PRAGMA integrity_check({PROBLEMS_MAX})") if text != "ok"]
    for problem, query in INVARIANTS.items():
        room = PROBLEMS_MAX - len(problems)
        problems += [f"{problem}: {row[0]}" for row in execute(f"{query} LIMIT {room}")]
    problems += [f"queue that can't be read: {queue}" for queue in _unreadable_queues(execute)]
    records = islice(_unreadable_records(execute), PROBLEMS_MAX)
    return problems + [f"record that can't be read: {record}" for record in records]


def _unreadable_queues(execute: Execute) -> list[int]:
    """The queues whose record is damaged, or is of another queue."""
    unreadable = []
    for number, account, name, doc in execute("SELECT id, account, name, doc FROM queue"):
        try:
            queue = msgspec.msgpack.decode(doc, type=Queue)
        except msgspec.DecodeError:
            unreadable.append(number)
            continue
        if (queue.id, queue.address) != (number, Address(account, name)):
            unreadable.append(number)
    return unreadable


def _unreadable_records(execute: Execute) -> Iterator[int]:
    """The records that are damaged, or are not what their columns say."""
    for number, key, *columns, doc in execute(
        "SELECT id, key, state, task, queue, updated_at, expires_at, doc FROM record"
    ):
        try:
            record = unpack(doc)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            yield number
            continue
        if record.key != key or columns != list(columns_of(record)):
            yield number
