"""Databases by the ways that Python has to them: each with the inbox, and a table for effects."""

import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import aiosqlite
import asyncpg
import psycopg
import psycopg2
import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from encola.consumers import once, outbox
from encola.consumers.dbapi import execute

Connect = Callable[[], Any]

SYNC = (
    "sqlite3",
    "psycopg",
    "psycopg2",
    "connection-sqlite",
    "connection-psycopg",
    "session-sqlite",
    "session-psycopg",
)
ASYNC = ("aiosqlite", "psycopg", "asyncpg", "connection-aiosqlite", "session-psycopg", "session-asyncpg")


class Place:
    """A database, and how to connect to it. ``connect`` begins no transaction."""

    def __init__(self, connect: Connect, url: str, options: dict[str, Any]) -> None:
        self.connect = connect
        self.url = url
        self.options = options

    @property
    def is_postgres(self) -> bool:
        return self.url.startswith("postgresql")

    @contextlib.contextmanager
    def connected(self) -> Iterator[Any]:
        """A connection that is closed at the end, and commits nothing by itself."""
        connection = self.connect()
        try:
            yield connection
        finally:
            connection.close()

    def prepare(self) -> "Place":
        """Makes the tables."""
        with self.connected() as connection:
            once.create_table(connection)
            outbox.create_tables(connection)
            execute(connection, "CREATE TABLE effect (name VARCHAR(100) NOT NULL)")
            connection.commit()
        return self

    def effects(self) -> list[str]:
        return self.all("SELECT name FROM effect ORDER BY name")

    def keys(self) -> list[str]:
        return self.all(f"SELECT key FROM {once.TABLE} ORDER BY key")

    def all(self, query: str) -> list[Any]:
        """The first column of what a query gives."""
        with self.connected() as connection:
            return [row[0] for row in execute(connection, query)[1]]


def place_of(kind: str, path: Path, conninfo: str) -> Place:
    """``kind`` is one of ``SYNC``."""
    what, _, below = kind.partition("-")
    if what == "sqlite3":
        return Place(lambda: sqlite3.connect(path), "sqlite", {})
    if what == "psycopg":
        return Place(lambda: psycopg.connect(conninfo), "postgresql", {})
    if what == "psycopg2":
        return Place(lambda: psycopg2.connect(conninfo), "postgresql", {})
    url, options = _engine(below, path, conninfo)
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool, **options)
    return Place(engine.connect if what == "connection" else lambda: Session(engine), url, options)


def _engine(below: str, path: Path, conninfo: str) -> tuple[str, dict[str, Any]]:
    if below == "sqlite":
        return f"sqlite:///{path}", {}
    if below == "aiosqlite":
        return f"sqlite+aiosqlite:///{path}", {}
    given = dict(part.split("=") for part in conninfo.split())
    return f"postgresql+{below}://{given['user']}@{given['host']}:{given['port']}/{given['dbname']}", {}


@pytest.fixture
def conninfo(request: pytest.FixtureRequest) -> str:
    """Of a new database in PostgreSQL."""
    found: str = request.getfixturevalue("postgres").new_database()
    return found


@pytest.fixture(params=SYNC)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Each database by each way that is not asynchronous."""
    conninfo = "" if "sqlite" in request.param else request.getfixturevalue("conninfo")
    return place_of(request.param, tmp_path / "shop.db", conninfo).prepare()


@pytest.fixture
def sqlite(tmp_path: Path) -> Place:
    return place_of("sqlite3", tmp_path / "shop.db", "").prepare()


@pytest.fixture
def postgresql(conninfo: str, tmp_path: Path) -> Place:
    return place_of("psycopg", tmp_path, conninfo).prepare()


class AsyncPlace:
    """A database and ways to it that are to be awaited; ``plain`` is another way to it."""

    def __init__(self, kind: str, path: Path, conninfo: str, plain: Place) -> None:
        self.plain = plain
        self._kind = kind
        self._path = path
        self._conninfo = conninfo

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        """A connection in a transaction, which is committed if nothing is raised, else rolled back."""
        what, _, below = self._kind.partition("-")
        if what == "aiosqlite":
            async with aiosqlite.connect(self._path) as connection:
                yield connection
                await connection.commit()
        elif what == "psycopg":
            async with await psycopg.AsyncConnection.connect(self._conninfo) as connection:
                yield connection
        elif what == "asyncpg":
            given = dict(part.split("=") for part in self._conninfo.split())
            connection = await asyncpg.connect(
                host=given["host"], port=int(given["port"]), user=given["user"], database=given["dbname"]
            )
            try:
                async with connection.transaction():
                    yield connection
            finally:
                await connection.close()
        else:
            url, options = _engine(below, self._path, self._conninfo)
            engine = create_async_engine(url, poolclass=sqlalchemy.NullPool, **options)
            opened = engine.connect() if what == "connection" else AsyncSession(engine)
            async with opened as connection:
                yield connection
                await connection.commit()

    async def effect(self, connection: Any, name: str) -> None:
        statement = f"INSERT INTO effect (name) VALUES ('{name}')"
        await connection.execute(sqlalchemy.text(statement) if "-" in self._kind else statement)


@pytest.fixture(params=ASYNC)
def async_place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncPlace:
    """Each database by each way that is awaited."""
    is_sqlite, path = "sqlite" in request.param, tmp_path / "shop.db"
    conninfo = "" if is_sqlite else request.getfixturevalue("conninfo")
    plain = place_of("sqlite3" if is_sqlite else "psycopg", path, conninfo).prepare()
    return AsyncPlace(request.param, path, conninfo, plain)
