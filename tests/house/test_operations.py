"""The numbers on which docs/operations.md lets people rely."""

import re
import uuid
from pathlib import Path

from encola.engine.changes import Declare, Deduplication, Put
from encola.engine.message import Envelope, QueueId
from encola.engine.queue import Address, Queue
from encola.server import run
from encola.server.health import PATHS
from encola.stores.sqlite import SqliteStore
from encola.stores.sqlite.connection import FILE_NAME
from encola.stores.sqlite.schema import VERSION

from .files import ROOT
from .markdown import plain, prose, section, table

PAGE = ROOT / "docs" / "operations.md"
MESSAGES = 5_000
BODY = bytes(1_000)
NOW = 1_700_000_000_000


def test_the_exit_statuses_are_those_of_the_server() -> None:
    told = [row[0] for row in table(section(PAGE, "Stopping, and exit statuses"))]
    statuses = (run.EXIT_STOPPED, run.EXIT_NOT_STARTED, run.EXIT_CONFIGURATION, run.EXIT_STORE_FAILED)
    assert told == [*map(str, statuses), "128 + signal"]


def test_the_paths_of_health_are_those_of_the_server() -> None:
    told = [path for row in table(section(PAGE, "Monitoring")) for path in plain(row[0]).split(", ")]
    assert sorted(told) == sorted(PATHS)


def test_the_schema_version_is_the_one_of_the_store() -> None:
    assert f"schema version (now {VERSION})" in prose(PAGE)


async def bytes_a_message(directory: Path, *, ordered: bool) -> float:
    """What a waiting message of 1,000 bytes takes of the file."""
    store = SqliteStore(directory)
    await store.open()
    queue = QueueId(1)
    address = Address("000000000000", "q")
    await store.apply([Declare(Queue(id=queue, address=address, ordered=ordered, created_at=NOW, modified_at=NOW))])
    puts = []
    for number in range(MESSAGES):
        key = str(uuid.uuid4()) if ordered else ""
        envelope = Envelope(str(uuid.uuid4()), address.account, f"group {number % 100}" if ordered else "", key)
        puts.append(Put(queue, envelope, BODY, NOW, NOW, Deduplication(key, NOW + 1) if ordered else None))
    await store.apply(puts)
    await store.close()
    return (directory / FILE_NAME).stat().st_size / MESSAGES


async def test_a_waiting_message_takes_as_much_room_as_the_page_says(tmp_path: Path) -> None:
    told = re.search(
        r"of ([\d,]+) bytes takes about ([\d,]+) bytes, on a FIFO queue ([\d,]+)", " ".join(prose(PAGE).split())
    )
    assert told
    size, standard, fifo = (int(number.replace(",", "")) for number in told.groups())
    assert size == len(BODY)
    assert abs(await bytes_a_message(tmp_path / "standard", ordered=False) / standard - 1) < 0.05
    assert abs(await bytes_a_message(tmp_path / "fifo", ordered=True) / fifo - 1) < 0.05
