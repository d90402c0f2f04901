"""Older data are brought up to date when they are opened; newer data and other people's files are left alone."""

from pathlib import Path

import apsw
import pytest

from encola.engine.store import StoreError
from encola.stores.sqlite import SqliteStore, schema
from encola.stores.sqlite.connection import FILE_NAME
from tests.conformance.desk import Desk


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
