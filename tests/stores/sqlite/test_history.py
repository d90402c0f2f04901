"""The file of the history may be damaged, foreign, unwritable or too large: no more than a warning comes of it."""

import logging
import os
from pathlib import Path

import apsw
import pytest

from encola.engine.history import MINUTES, SECONDS
from encola.engine.queue import SECOND
from encola.engine.store import StoreError
from encola.stores.sqlite import history as module
from encola.stores.sqlite.history import FILE_NAME, SET_ASIDE, SqliteHistory

START = 1_700_000_000_000


async def stored(history: SqliteHistory) -> bool:
    await history.append(SECONDS, START, {1: b"x"})
    return dict((await history.read(SECONDS, [1], START, START + 1))[1]) == {START: b"x"}


@pytest.mark.parametrize(
    "content", [b"this is no database at all, but long enough" * 100, b"SQLite format 3\0" + b"\xff" * 9000]
)
async def test_a_damaged_file_is_set_aside(tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    history = SqliteHistory(tmp_path)
    with caplog.at_level(logging.WARNING):
        await history.open()
    assert SET_ASIDE in caplog.text
    assert (tmp_path / SET_ASIDE).read_bytes() == content
    assert await stored(history)
    await history.close()


async def test_a_database_of_something_else_is_set_aside_whole(tmp_path: Path) -> None:
    connection = apsw.Connection(str(tmp_path / FILE_NAME))
    connection.execute("CREATE TABLE theirs (a); INSERT INTO theirs VALUES (1)")
    connection.close()
    history = SqliteHistory(tmp_path)
    await history.open()
    assert await stored(history)
    await history.close()
    connection = apsw.Connection(str(tmp_path / SET_ASIDE))
    assert connection.execute("SELECT a FROM theirs").fetchone() == (1,)
    connection.close()


async def test_a_file_that_is_damaged_while_it_is_open_is_set_aside(tmp_path: Path) -> None:
    history = SqliteHistory(tmp_path)
    for number in range(300):
        await history.append(SECONDS, START + number * SECOND, dict.fromkeys(range(20), b"x" * 100))
    await history.close()
    path = tmp_path / FILE_NAME
    with path.open("r+b") as file:  # the first page stays whole
        file.seek(module.PAGE_BYTES)
        file.write(os.urandom(path.stat().st_size - module.PAGE_BYTES))
    history = SqliteHistory(tmp_path)
    await history.open()
    assert await stored(history)
    assert (tmp_path / SET_ASIDE).exists()
    await history.close()


async def test_what_cannot_be_written_is_an_error_of_the_call_and_works_later(tmp_path: Path) -> None:
    directory = tmp_path / "data"
    directory.write_text("a file where a directory should be")
    history = SqliteHistory(directory)
    with pytest.raises(StoreError):
        await history.open()
    with pytest.raises(StoreError):
        await history.append(SECONDS, START, {1: b"x"})
    directory.unlink()
    assert await stored(history)
    await history.close()


async def test_the_file_stops_growing_and_keeps_what_is_newest(tmp_path: Path) -> None:
    limit = 64 * module.PAGE_BYTES
    history = SqliteHistory(tmp_path, bytes_max=limit)
    await history.append(MINUTES, START - START % 60_000, {1: b"m"})
    last = 400
    for number in range(last + 1):
        await history.append(SECONDS, START + number * SECOND, {series: os.urandom(100) for series in range(20)})
    assert (tmp_path / FILE_NAME).stat().st_size <= limit
    found = await history.read(SECONDS, [1], 0, 2**60)
    assert found[1][-1][0] == START + last * SECOND
    assert 50 < len(found[1]) < last
    await history.close()


async def test_statements_find_their_rows_by_the_key(tmp_path: Path) -> None:
    history = SqliteHistory(tmp_path)
    await history.open()
    await history.close()
    planner = apsw.Connection(str(tmp_path / FILE_NAME))
    for sql in (module.READ, module.FORGET, module.PRUNE, module.FIRST, module.LAST):
        plan = [row[3] for row in planner.execute(f"EXPLAIN QUERY PLAN {sql}", (None,) * sql.count("?"))]
        assert any("PRIMARY KEY (resolution=?" in step for step in plan), plan
        assert not any("TEMP B-TREE" in step or step.startswith("SCAN p") for step in plan), plan
    planner.close()
