"""``check``: nothing to say of whole data, and a word for each kind of damage."""

from pathlib import Path

import apsw
import pytest

from encola.engine.queue import SECOND
from encola.engine.records import Claim, Enter
from encola.engine.store import StoreError
from encola.stores.sqlite import SqliteStore
from encola.stores.sqlite.backup import backup
from encola.stores.sqlite.check import INVARIANTS, check
from encola.stores.sqlite.connection import FILE_NAME
from tests.conformance.desk import DEAD, WORK, Desk

DAMAGE = {
    "message without a body": "DELETE FROM body WHERE id = (SELECT min(id) FROM body)",
    "body without a message": "INSERT INTO body VALUES (99, x'', x'')",
    "message without a lane": "UPDATE message SET lane = 99 WHERE id = (SELECT min(id) FROM message)",
    "lane without a partition": "INSERT INTO lane (partition, name, ready_at, head) VALUES (99, 'x', 1, 1)",
    "queue without its partition": "UPDATE queue SET partition = 99 WHERE id = 1",
    "partition without its common lane": "UPDATE partition SET common_lane = 99 WHERE id = 1",
    "partition of two queues": "UPDATE queue SET partition = (SELECT partition FROM queue WHERE id = 1)",
    "wrong number of messages in partition": "UPDATE partition SET messages = messages + 1 WHERE id = 1",
    "message id beyond the reserved ones": "UPDATE meta SET value = 1 WHERE key = 'ids_reserved'",
    "lane in which nothing waits": "INSERT INTO lane (partition, name, ready_at, head) VALUES (1, 'empty', 1, 1)",
    "lane of a standard queue with a wrong time": "UPDATE lane SET ready_at = ready_at + 1 WHERE name = 'a'",
    "lane of an ordered queue with a wrong time": "UPDATE lane SET head = head + 1 WHERE name = 'b'",
    "deduplication id without a partition": "UPDATE dedup SET partition = 99",
    "queue that can't be read": "UPDATE queue SET doc = x'c1' WHERE id = 1",
    "record that can't be read": "UPDATE record SET doc = x'c1'",
}
OTHERS = {"queue that can't be read", "record that can't be read"}


@pytest.fixture
async def directory(directory: Path, desk: Desk) -> Path:
    """Data of a standard and an ordered queue, some of it leased; nobody has it open."""
    await desk.declare(WORK)
    await desk.put_all("1", "2")
    await desk.put_all("3", group="a")
    await desk.declare(DEAD, ordered=True)
    await desk.put_all("4", "5", queue=DEAD, group="b", key=None)
    await desk.put("6", queue=DEAD, group="b", key="once")
    await desk.claim(1)
    await desk.do(Claim("k", "me", "report", "reports", "hash", SECOND, SECOND), Enter("slots", "a", 1, SECOND))
    desk.turn(SECOND)
    await desk.reopen()
    return directory


async def test_whole_data_are_whole_while_a_store_works_in_them(directory: Path) -> None:
    assert check(directory) == []


def test_every_kind_of_damage_is_tried() -> None:
    assert set(DAMAGE) == {*INVARIANTS, *OTHERS}


@pytest.mark.parametrize("problem", sorted(DAMAGE))
async def test_damage_is_found(directory: Path, tmp_path: Path, problem: str) -> None:
    damaged = backup(directory, tmp_path / "damaged")
    connection = apsw.Connection(str(damaged))
    connection.execute(DAMAGE[problem])
    connection.close()
    found = check(damaged.parent)
    assert any(text.startswith(f"{problem}: ") for text in found), found


@pytest.mark.parametrize("column", ["key", "state", "task", "queue", "updated_at", "expires_at"])
async def test_a_record_whose_columns_say_something_else_is_found(directory: Path, tmp_path: Path, column: str) -> None:
    damaged = backup(directory, tmp_path / "damaged")
    connection = apsw.Connection(str(damaged))
    connection.execute(f"UPDATE record SET {column} = 7 WHERE key = 'k'")
    connection.close()
    assert check(damaged.parent) == ["record that can't be read: 1"]


async def test_a_store_with_a_damaged_queue_says_so(directory: Path, tmp_path: Path) -> None:
    damaged = backup(directory, tmp_path / "damaged")
    connection = apsw.Connection(str(damaged))
    connection.execute(DAMAGE["queue that can't be read"])
    connection.close()
    with pytest.raises(StoreError, match="encola check"):
        await SqliteStore(damaged.parent).open()


async def test_a_torn_page_is_found(directory: Path, desk: Desk) -> None:
    await desk.store.close()
    file = directory / FILE_NAME
    data = bytearray(file.read_bytes())
    kept = bytes(data)
    data[len(data) // 2 : len(data) // 2 + 4096] = b"\xff" * 4096
    file.write_bytes(data)
    assert check(directory) != []
    file.write_bytes(b"no database at all, " * 500)
    assert check(directory) != []
    file.write_bytes(kept)
    assert check(directory) == []
    await desk.store.open()


def test_what_is_not_there_cannot_be_checked(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no encola data"):
        check(tmp_path)
