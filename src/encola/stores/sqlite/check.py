"""Is a data directory whole? SQLite's own check, and what must hold between our tables."""

from pathlib import Path

import apsw

from encola.engine.store import StoreError
from encola.stores.sqlite.connection import FILE_NAME, Execute, open_reader, store_error
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
        " WHERE NOT EXISTS (SELECT 1 FROM lane l WHERE l.id = p.common_lane AND l.partition = p.id)"
    ),
    "wrong number of messages in partition": (
        "SELECT p.id FROM partition p JOIN queue q ON q.partition = p.id WHERE p.messages <>"
        " (SELECT count(*) FROM lane l JOIN message m ON m.lane = l.id WHERE l.partition = p.id)"
    ),
    "message id beyond the reserved ones": (
        "SELECT id FROM message WHERE id > (SELECT value FROM meta WHERE key = 'ids_reserved')"
    ),
    "lane that would be looked at too late": (
        "SELECT l.id FROM lane l JOIN partition p ON p.id = l.partition JOIN queue q ON q.partition = p.id"
        " WHERE l.id <> p.common_lane AND l.ready_at >"
        " (SELECT max(m.ready_at) FROM message m WHERE m.lane = l.id)"
    ),
    "waiting lane without a time": "SELECT id FROM lane WHERE name > '' AND ready_at = (1 << 62)",
}


def check(directory: Path) -> list[str]:
    """The problems found, at most ``PROBLEMS_MAX`` (none: the data are whole). May run beside a server.

    Raises StoreError when there is nothing to check or it can't be read.
    """
    path = directory / FILE_NAME
    if not path.is_file():
        raise StoreError(f"no encola data in {directory}")
    try:
        connection = open_reader(path)
        connection.execute("BEGIN")  # one snapshot for all
        problems = _problems(connection)
        connection.close()
    except apsw.CorruptError as error:
        return [str(error)]
    except apsw.Error as error:
        raise store_error(error) from error
    return problems


def _problems(connection: apsw.Connection) -> list[str]:
    version = connection.pragma("user_version")
    if version != VERSION:
        return [f"schema version {version}, expected {VERSION}"]
    execute: Execute = connection.execute
    problems = [text for (text,) in execute(f"PRAGMA integrity_check({PROBLEMS_MAX})") if text != "ok"]
    for problem, query in INVARIANTS.items():
        room = PROBLEMS_MAX - len(problems)
        problems += [f"{problem}: {row[0]}" for row in execute(f"{query} LIMIT {room}")]
    return problems
