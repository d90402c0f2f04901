"""The outbox: what is sent belongs to the producer's transaction, whatever the way to the database."""

import contextlib
import sqlite3

import msgspec
import pytest

import encola
from encola.consumers import outbox
from encola.consumers.errors import BadPayloadError, ConfigurationError
from encola.consumers.options import SendOptions
from encola.consumers.outbox import TABLE
from encola.consumers.task import Task
from encola.consumers.transport import Outgoing

from .conftest import AsyncPlace, Place
from .test_once import effect


@pytest.fixture
def task(app: encola.App, queue: str) -> Task[[int], None]:
    @app.task(queue=queue, key="{number}")
    def confirm(number: int) -> None: ...

    return confirm


def messages(place: Place) -> list[Outgoing]:
    """What waits in the outbox, in order."""
    return [msgspec.json.decode(text, type=Outgoing) for text in place.all(f"SELECT message FROM {TABLE} ORDER BY id")]


def test_what_is_sent_is_there_when_the_order_is(app: encola.App, place: Place, task: Task[[int], None]) -> None:
    with place.connected() as connection:
        effect(connection, "order 7")
        job = app.outbox(connection).send(task, 7)
        connection.commit()
    (message,) = messages(place)
    assert place.effects() == ["order 7"]
    assert job.id == "confirm/7"
    assert job.id in message.body


def test_what_is_rolled_back_is_not_sent(app: encola.App, place: Place, task: Task[[int], None]) -> None:
    with place.connected() as connection:
        effect(connection, "order 7")
        app.outbox(connection).send(task, 7)
        connection.rollback()
    assert (place.effects(), messages(place)) == ([], [])


async def test_awaited_connections_have_the_same_promise(
    app: encola.App, async_place: AsyncPlace, task: Task[[int], None]
) -> None:
    async with async_place.transaction() as connection:
        await async_place.effect(connection, "order 7")
        job = await app.outbox(connection).asend(task, 7)
    with contextlib.suppress(RuntimeError):
        async with async_place.transaction() as connection:
            await app.outbox(connection).asend_with(SendOptions(delay=60), task, 8)
            raise RuntimeError("half-way")
    assert async_place.plain.effects() == ["order 7"]
    (message,) = messages(async_place.plain)
    assert job.id in message.body


async def test_the_form_that_does_not_fit_the_connection_is_refused(
    app: encola.App, async_place: AsyncPlace, task: Task[[int], None]
) -> None:
    async with async_place.transaction() as connection:
        with pytest.raises(ConfigurationError, match="asynchronous"):
            app.outbox(connection).send(task, 7)
    with async_place.plain.connected() as plain, pytest.raises(ConfigurationError, match="asynchronous"):
        await app.outbox(plain).asend(task, 7)
    assert messages(async_place.plain) == []


def test_a_connection_that_commits_by_itself_is_refused(
    app: encola.App, sqlite: Place, task: Task[[int], None]
) -> None:
    with sqlite.connected() as connection:
        connection.isolation_level = None
        with pytest.raises(ConfigurationError, match="begin a transaction"):
            app.outbox(connection).send(task, 7)


def test_what_does_not_fit_the_task_is_refused_before_anything_is_written(
    app: encola.App, sqlite: Place, task: Task[[int], None]
) -> None:
    with sqlite.connected() as connection:
        with pytest.raises(BadPayloadError):
            app.outbox(connection).send(task, "seven")
        with pytest.raises(ConfigurationError, match="14 days"):
            app.outbox(connection).send_with(SendOptions(delay=15 * 86_400), task, 7)
        assert not connection.in_transaction


def test_options_travel_with_the_message(app: encola.App, sqlite: Place, task: Task[[int], None]) -> None:
    options = SendOptions(key="seven", delay=3600, attributes={"shop": "north"})
    with sqlite.connected() as connection:
        job = app.outbox(connection).send_with(options, task, 7)
        connection.commit()
    (message,) = messages(sqlite)
    assert (job.id, message.attributes["shop"]) == ("confirm/seven", "north")
    (due,) = sqlite.all(f"SELECT due_at FROM {TABLE}")
    assert abs(due / 1000 - outbox.time.time() - 3600) < 60


def test_the_statements_for_migrations_make_the_tables(place: Place) -> None:
    with place.connected() as connection:
        outbox.create_tables(connection)  # again: nothing happens
        connection.commit()
    if not place.is_postgres:
        with sqlite3.connect(":memory:") as connection:
            for statement in outbox.ddl(connection):
                connection.execute(statement)
