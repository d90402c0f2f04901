"""Effects once: the row that says "done" and the effect are in one transaction, whatever the way to the database."""

import contextlib
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import psycopg2
import pytest
import sqlalchemy

import encola
from encola.consumers import once
from encola.consumers.dbapi import execute
from encola.consumers.errors import ConfigurationError

from ..bench import wait_until
from .conftest import AsyncPlace, Place

SECONDS_MAX = 30.0
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"


def effect(connection: Any, name: str) -> None:
    execute(connection, "INSERT INTO effect (name) VALUES ({})", (name,))


def do_once(app: encola.App, place: Place, key: str, name: str) -> str:
    """What a task does: an effect and its mark in one transaction."""
    with place.connected() as connection:
        try:
            with app.once(connection, key):
                effect(connection, name)
        except encola.AlreadyDone:
            return "already done"
        connection.commit()
        return "done"


# Together or not at all --------------------------------------------------------------------------------


def test_an_effect_is_there_once_however_often_it_is_tried(app: encola.App, place: Place) -> None:
    results = [do_once(app, place, "invoice/1", f"try {n}") for n in range(3)]
    assert results == ["done", "already done", "already done"]
    assert place.effects() == ["try 0"]
    assert place.keys() == ["invoice/1"]


def test_what_is_rolled_back_was_never_done(app: encola.App, place: Place) -> None:
    with place.connected() as connection:
        with contextlib.suppress(RuntimeError), app.once(connection, "invoice/1"):
            effect(connection, "lost")
            raise RuntimeError("half-way")
        connection.rollback()
    assert (place.keys(), place.effects()) == ([], [])
    assert do_once(app, place, "invoice/1", "made") == "done"


def test_a_connection_that_breaks_before_the_commit_leaves_nothing(app: encola.App, place: Place) -> None:
    with place.connected() as connection, app.once(connection, "invoice/1"):
        effect(connection, "lost")
    assert (place.keys(), place.effects()) == ([], [])


def test_the_transaction_can_go_on_when_one_part_was_done_before(app: encola.App, place: Place) -> None:
    do_once(app, place, "first", "first")
    with place.connected() as connection:
        for name in ("first", "second"):
            with contextlib.suppress(encola.AlreadyDone), app.once(connection, name):
                effect(connection, name)
        connection.commit()
    assert place.effects() == ["first", "second"]


def test_of_two_at_once_the_second_waits_and_learns_that_it_is_done(app: encola.App, place: Place) -> None:
    with ThreadPoolExecutor(1) as pool, place.connected() as connection:
        with app.once(connection, "invoice/1"):
            effect(connection, "first")
            second = pool.submit(do_once, app, place, "invoice/1", "second")
            if place.is_postgres:
                wait_until(lambda: place.all(WAITING) == [1], "the second waits for the first")
        connection.commit()
        assert second.result(SECONDS_MAX) == "already done"
    assert place.effects() == ["first"]


def test_of_two_at_once_the_second_does_it_when_the_first_gives_up(app: encola.App, place: Place) -> None:
    with ThreadPoolExecutor(1) as pool, place.connected() as connection:
        with app.once(connection, "invoice/1"):
            effect(connection, "first")
            second = pool.submit(do_once, app, place, "invoice/1", "second")
            if place.is_postgres:
                wait_until(lambda: place.all(WAITING) == [1], "the second waits for the first")
        connection.rollback()
        assert second.result(SECONDS_MAX) == "done"
    assert place.effects() == ["second"]


def test_applications_that_share_a_database_do_not_share_keys(
    make_app: Callable[..., encola.App], sqlite: Place
) -> None:
    one, other = make_app("one"), make_app("other")
    assert do_once(one, sqlite, "invoice/1", "one") == "done"
    assert do_once(other, sqlite, "invoice/1", "other") == "done"


# Connections that are awaited --------------------------------------------------------------------------


async def test_an_awaited_effect_is_there_once(app: encola.App, async_place: AsyncPlace) -> None:
    done = 0
    for n in range(3):
        with contextlib.suppress(encola.AlreadyDone):
            async with async_place.transaction() as connection, app.once(connection, "invoice/1"):
                await async_place.effect(connection, f"try {n}")
                done += 1
    assert done == 1
    assert async_place.plain.effects() == ["try 0"]


async def test_an_awaited_effect_that_is_rolled_back_was_never_done(app: encola.App, async_place: AsyncPlace) -> None:
    with contextlib.suppress(RuntimeError):
        async with async_place.transaction() as connection, app.once(connection, "invoice/1"):
            await async_place.effect(connection, "lost")
            raise RuntimeError("half-way")
    assert (async_place.plain.keys(), async_place.plain.effects()) == ([], [])


async def test_the_form_that_does_not_fit_the_connection_is_refused_and_marks_nothing(
    app: encola.App, async_place: AsyncPlace
) -> None:
    """An INSERT that nobody awaits makes no row: to take that for "already done" would lose the effect."""
    async with async_place.transaction() as connection:
        with pytest.raises(ConfigurationError, match="asynchronous"), app.once(connection, "invoice/1"):
            pytest.fail("the effect must not be tried")
    with async_place.plain.connected() as connection, pytest.raises(ConfigurationError, match="not an asynchronous"):
        async with app.once(connection, "invoice/1"):
            pytest.fail("the effect must not be tried")
    assert async_place.plain.keys() == []


# No transaction, no promise ----------------------------------------------------------------------------


def test_a_connection_that_commits_by_itself_is_refused(
    app: encola.App, sqlite: Place, conninfo: str, tmp_path: Path
) -> None:
    by_itself = psycopg2.connect(conninfo)
    by_itself.autocommit = True
    file = tmp_path / "shop.db"
    made = sqlalchemy.create_engine(f"sqlite:///{file}", isolation_level="AUTOCOMMIT")
    connections = [
        sqlite3.connect(file, isolation_level=None),
        psycopg.connect(conninfo, autocommit=True),
        by_itself,
        made.connect(),
    ]
    for connection in connections:
        with pytest.raises(ConfigurationError, match="begin a transaction"), app.once(connection, "k"):
            pytest.fail("the effect must not be tried")
        connection.close()
    assert sqlite.keys() == []


async def test_a_connection_of_asyncpg_outside_of_a_transaction_is_refused(app: encola.App, postgresql: Place) -> None:
    import asyncpg

    with postgresql.connected() as plain:
        info = plain.info
        connection = await asyncpg.connect(host=info.host, port=info.port, user=info.user, database=info.dbname)
    with pytest.raises(ConfigurationError, match="begin a transaction"):
        async with app.once(connection, "k"):
            pytest.fail("the effect must not be tried")
    await connection.close()


def test_a_transaction_that_was_begun_by_hand_will_do(app: encola.App, sqlite: Place, tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "shop.db", isolation_level=None)
    connection.execute("BEGIN")
    with app.once(connection, "k"):
        effect(connection, "made")
    connection.execute("COMMIT")
    connection.close()
    assert (sqlite.keys(), sqlite.effects()) == (["k"], ["made"])


def test_psycopgs_transaction_blocks_will_do(app: encola.App, postgresql: Place, conninfo: str) -> None:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        with connection.transaction(), app.once(connection, "k"):
            effect(connection, "made")
        with contextlib.suppress(RuntimeError), connection.transaction(), app.once(connection, "l"):
            raise RuntimeError("half-way")
    assert (postgresql.keys(), postgresql.effects()) == (["k"], ["made"])


def test_a_subclass_and_a_raw_connection_of_a_pool_are_known(app: encola.App, sqlite: Place, tmp_path: Path) -> None:
    class Ours(sqlite3.Connection):
        pass

    pool = sqlalchemy.create_engine(f"sqlite:///{tmp_path / 'shop.db'}")
    for number, connection in enumerate((sqlite3.connect(tmp_path / "shop.db", factory=Ours), pool.raw_connection())):
        with app.once(connection, f"k{number}"):
            effect(connection, f"k{number}")
        connection.commit()
        connection.close()
    assert sqlite.effects() == ["k0", "k1"]
    pool.dispose()


def test_what_is_no_connection_is_told_so(app: encola.App) -> None:
    class Nothing:
        pass

    with pytest.raises(ConfigurationError, match="not known here"), app.once(Nothing(), "k"):
        pass


# Keys --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["", "k" * 1025])
def test_a_key_that_is_empty_or_too_long_is_refused(app: encola.App, sqlite: Place, key: str) -> None:
    with sqlite.connected() as connection, pytest.raises(ValueError, match="1024"):
        app.once(connection, key)


@pytest.mark.parametrize("key", ["ü" * 1024, "a/b c'\"; DROP TABLE effect --", "{month}", "%s", ":p1"])
def test_a_key_may_be_any_text(app: encola.App, place: Place, key: str) -> None:
    assert do_once(app, place, key, "made") == "done"
    assert do_once(app, place, key, "again") == "already done"
    assert place.keys() == [key]


def test_old_keys_are_forgotten_step_by_step(app: encola.App, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    now = once.time.time()
    monkeypatch.setattr(once, "FORGOTTEN_MAX", 2)
    for age in range(5):
        monkeypatch.setattr(once.time, "time", lambda age=age: now - 100 * age)
        do_once(app, place, f"age-{age}", "made")
    monkeypatch.setattr(once.time, "time", lambda: now)
    with place.connected() as connection:
        counts = [once.forget_older_than(connection, 150) for _ in range(3)]
        connection.commit()
    assert counts == [2, 1, 0]
    assert place.keys() == ["age-0", "age-1"]


def test_the_table_is_made_once(place: Place) -> None:
    with place.connected() as connection:
        once.create_table(connection)
        connection.commit()
