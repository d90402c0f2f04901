"""Older data are brought up to date when they are opened; newer data and other people's files are left alone."""

from pathlib import Path

import apsw
import pytest

from encola.engine.lifecycle import Outcome
from encola.engine.message import Counts
from encola.engine.queue import HOUR, SECOND
from encola.engine.records import Claim, Run
from encola.engine.store import StoreError
from encola.stores.sqlite import SqliteStore, check, schema
from encola.stores.sqlite.connection import FILE_NAME
from tests.conformance.desk import START, WORK, Desk


async def test_older_data_are_migrated_step_by_step(
    directory: Path, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await desk.declare()
    await desk.put_all("1", "2")
    steps: list[int] = []

    def step(connection: apsw.Connection) -> None:
        steps.append(connection.pragma("user_version"))
        connection.execute(f"CREATE TABLE step{len(steps)} (a)")

    first = schema.VERSION
    monkeypatch.setattr(schema, "VERSION", first + 2)
    monkeypatch.setattr(schema, "MIGRATIONS", {first: step, first + 1: step})
    await desk.reopen()
    assert len(steps) == 2
    assert sorted(await desk.bodies()) == ["1", "2"]
    await desk.store.close()
    connection = apsw.Connection(str(directory / FILE_NAME))
    assert connection.pragma("user_version") == first + 2
    connection.close()
    await desk.store.open()
    assert len(steps) == 2


async def test_a_migration_that_fails_changes_nothing(
    directory: Path, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await desk.declare()
    await desk.put_all("1")
    await desk.store.close()
    before = schema.VERSION

    def step(connection: apsw.Connection) -> None:
        connection.execute("DELETE FROM message")
        raise RuntimeError("no")

    with monkeypatch.context() as patch:
        patch.setattr(schema, "VERSION", before + 1)
        patch.setattr(schema, "MIGRATIONS", {before: step})
        with pytest.raises(RuntimeError):
            await SqliteStore(directory).open()
    await desk.store.open()
    assert await desk.bodies() == ["1"]


async def test_newer_data_are_refused(directory: Path, desk: Desk) -> None:
    await desk.store.close()
    connection = apsw.Connection(str(directory / FILE_NAME))
    connection.pragma("user_version", schema.VERSION + 1)
    connection.close()
    with pytest.raises(StoreError, match="newer encola"):
        await SqliteStore(directory).open()
    connection = apsw.Connection(str(directory / FILE_NAME))
    connection.pragma("user_version", schema.VERSION)
    connection.close()
    await desk.store.open()


async def test_data_of_the_second_version_get_the_index_of_retries_with_all_that_is_in_it(
    directory: Path, desk: Desk
) -> None:
    await desk.declare()
    await desk.put_all("delayed", delay=HOUR)
    await desk.put_all("leased", "again and again", "again", "ready")
    leased, twice, once = await desk.claim(3, lease=HOUR)
    await desk.release(twice)
    await desk.release(await desk.claim_one(lease=HOUR))
    await desk.release(once)
    before = await desk.store.backlogs([WORK], desk.now)
    assert before[WORK].oldest_retrying == START + 2
    await desk.store.close()
    connection = apsw.Connection(str(directory / FILE_NAME))
    tables = _tables(connection)
    connection.execute("DROP INDEX message_retrying")
    connection.pragma("user_version", 2)
    connection.close()
    await desk.store.open()
    after = await desk.store.backlogs([WORK], desk.now)
    assert after[WORK].oldest_retrying == START + 2
    assert await desk.counts() == Counts(3, 1, 1)
    assert await desk.delete(leased) is Outcome.DONE
    await desk.store.close()
    connection = apsw.Connection(str(directory / FILE_NAME))
    assert connection.pragma("user_version") == schema.VERSION
    assert _tables(connection) == tables
    connection.close()
    assert check(directory) == []
    await desk.store.open()


async def test_data_of_the_first_version_get_records_and_lose_nothing(directory: Path, desk: Desk) -> None:
    """The first version is the second one without records."""
    await desk.declare()
    await desk.put_all("1", "2")
    delivery = await desk.claim_one()
    await desk.store.close()
    new = directory / FILE_NAME
    tables = _without_records(new)
    await desk.store.open()
    assert await desk.do(Claim("k", "me", "report", "reports", "hash", SECOND, SECOND)) == Run(1, 1)
    assert await desk.delete(delivery) is Outcome.DONE
    assert await desk.bodies() == ["2"]
    await desk.store.close()
    connection = apsw.Connection(str(new))
    assert connection.pragma("user_version") == schema.VERSION
    assert _tables(connection) == tables
    connection.close()
    assert check(directory) == []
    await desk.store.open()


def _without_records(file: Path) -> dict[str, str]:
    """Makes a file one of the first version; answers the tables and indexes that it had."""
    connection = apsw.Connection(str(file))
    tables = _tables(connection)
    connection.execute("DROP TABLE record")
    connection.execute("DROP INDEX message_retrying")
    connection.pragma("user_version", 1)
    connection.close()
    return tables


def _tables(connection: apsw.Connection) -> dict[str, str]:
    return dict(connection.execute("SELECT name, sql FROM sqlite_schema"))
