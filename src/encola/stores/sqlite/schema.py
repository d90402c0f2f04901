"""The tables, and the steps that bring an older file up to date.

    queue      who exists; ``doc`` is the engine's Queue. ``partition`` is where its messages are now
    partition  one filling of a queue. Purge and drop leave the old one behind for the sweeper, in no time
    lane       one waiting line within a partition: per message group, and the common one (name ''). ``ready_at`` is
               when it can deliver next, ``head`` the message that gives it its place among lanes of the same time
    message    the narrow row that changes with each receive
    body       what never changes: the envelope (``meta``) and the payload (``data``)
    dedup      deduplication ids that were accepted, until their window ends
    note       small durable records of the broker
    record     jobs, slots, rates and joins (``engine.records``), in ``doc``; ``state`` is NULL for what is no job
    meta       schema version, the clock, the ids that were handed out

Three orders are looked up in ``message``: by time within a lane (index ``message_ready``) and, within a lane of an
ordered queue, by id (partial index ``message_order``) and by the end of leases (partial index ``message_leases``). The
oldest of those that came back more than once is looked up by a partial index (``message_retrying``) in which no message
is that is received once and deleted.
Jobs are listed by state and time of the last change (partial index ``record_state``). Everything else is a lookup by
primary key.
"""

from collections.abc import Callable

import apsw

from encola.engine.store import StoreError

NEVER = 2**62
"""``lane.ready_at`` of a lane in which nothing waits."""

VERSION = 3

_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE queue (
    id INTEGER PRIMARY KEY, account TEXT NOT NULL, name TEXT NOT NULL,
    partition INTEGER NOT NULL, doc BLOB NOT NULL, UNIQUE (account, name));
CREATE TABLE partition (
    id INTEGER PRIMARY KEY, common_lane INTEGER NOT NULL, messages INTEGER NOT NULL);
CREATE TABLE lane (
    id INTEGER PRIMARY KEY, partition INTEGER NOT NULL, name TEXT NOT NULL,
    ready_at INTEGER NOT NULL, head INTEGER NOT NULL, UNIQUE (partition, name));
CREATE INDEX lane_ready ON lane (partition, ready_at, head);
CREATE TABLE message (
    id INTEGER PRIMARY KEY, lane INTEGER NOT NULL, ready_at INTEGER NOT NULL, lease INTEGER NOT NULL,
    receives INTEGER NOT NULL, sent_at INTEGER NOT NULL, first_received_at INTEGER NOT NULL,
    leased_at INTEGER NOT NULL, ordered INTEGER NOT NULL);
CREATE INDEX message_ready ON message (lane, ready_at);
CREATE INDEX message_order ON message (lane, id) WHERE ordered = 1;
CREATE INDEX message_leases ON message (lane, ready_at) WHERE ordered = 1 AND leased_at > 0;
CREATE TABLE body (id INTEGER PRIMARY KEY, meta BLOB NOT NULL, data BLOB NOT NULL);
CREATE TABLE dedup (
    partition INTEGER NOT NULL, key TEXT NOT NULL, message INTEGER NOT NULL, message_id TEXT NOT NULL,
    expires_at INTEGER NOT NULL, PRIMARY KEY (partition, key)) WITHOUT ROWID;
CREATE INDEX dedup_expiry ON dedup (expires_at);
CREATE TABLE note (kind TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (kind, key))
    WITHOUT ROWID;
INSERT INTO meta VALUES ('clock', 0), ('ids_reserved', 0);
"""

_RECORDS = """
CREATE TABLE record (
    id INTEGER PRIMARY KEY, account TEXT NOT NULL, key TEXT NOT NULL, state TEXT, task TEXT, queue TEXT,
    updated_at INTEGER NOT NULL, expires_at INTEGER NOT NULL, doc BLOB NOT NULL, UNIQUE (account, key));
CREATE INDEX record_state ON record (account, state, updated_at, key) WHERE state IS NOT NULL;
CREATE INDEX record_expiry ON record (expires_at);
"""

_RETRYING = "CREATE INDEX message_retrying ON message (lane, sent_at) WHERE receives > 1;"

Migration = Callable[[apsw.Connection], None]


def _add_records(connection: apsw.Connection) -> None:
    connection.execute(_RECORDS)


def _add_index_of_retrying(connection: apsw.Connection) -> None:
    connection.execute(_RETRYING)


MIGRATIONS: dict[int, Migration] = {1: _add_records, 2: _add_index_of_retrying}
"""From version n to n + 1; each runs in the transaction that also sets the new version."""


def prepare(connection: apsw.Connection) -> None:
    """Creates the tables in a new file, migrates an older one. Raises StoreError for a newer or another's file."""
    version = connection.pragma("user_version")
    if version > VERSION:
        raise StoreError(f"the data was written by a newer encola (schema {version}, this one knows {VERSION})")
    if version == VERSION:
        return
    if version == 0 and connection.execute("SELECT EXISTS (SELECT 1 FROM sqlite_schema)").fetchone() != (0,):
        raise StoreError("this is a database of something else than encola")
    with connection:
        if version == 0:
            connection.execute(_TABLES + _RECORDS + _RETRYING)
        else:
            for step in range(version, VERSION):
                MIGRATIONS[step](connection)
        connection.execute(f"PRAGMA user_version = {VERSION}")
