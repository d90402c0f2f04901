"""Effects once as tasks use it: what the runtime makes of AlreadyDone, and of errors of the database."""

import contextlib
import contextvars
import threading

import psycopg
import pytest

import encola
from encola.consumers import task_child
from encola.consumers.context import CurrentJob
from encola.consumers.errors import UncertainEffectError

from ..bench import Queues, working
from .conftest import AsyncPlace, Place
from .test_once import effect

AT_ONCE = encola.Backoff(base=0.0)
SECONDS_MAX = 30.0


async def test_a_task_that_was_done_before_completes(
    app: encola.App, queue: str, sqlite: Place, queues: Queues
) -> None:
    """Its worker had died after the commit, before it could tell."""

    @app.task(queue=queue)
    def invoice(number: int) -> str:
        with sqlite.connected() as connection:
            with app.once(connection, f"invoice/{number}"):
                effect(connection, f"invoice {number}")
            connection.commit()
        return "made"

    with sqlite.connected() as connection:
        with app.once(connection, "invoice/7"):
            effect(connection, "invoice 7")
        connection.commit()
    async with working(app):
        done, new = await invoice.asend(7), await invoice.asend(8)
        assert await done.aresult(SECONDS_MAX) is None
        assert await new.aresult(SECONDS_MAX) == "made"
    assert await done.aerrors() == ()
    assert queues.held(queue) == 0
    assert sqlite.effects() == ["invoice 7", "invoice 8"]


async def test_a_task_that_fails_after_the_mark_is_tried_again_and_its_effect_is_there_once(
    app: encola.App, queue: str, sqlite: Place
) -> None:
    attempts = []

    @app.task(queue=queue, backoff=AT_ONCE)
    def invoice(number: int) -> str:
        attempts.append(number)
        with sqlite.connected() as connection, connection:
            with app.once(connection, f"invoice/{number}"):
                effect(connection, f"invoice {number}")
            if len(attempts) < 3:
                raise RuntimeError("before the commit")
        return "made"

    async with working(app):
        job = await invoice.asend(1)
        assert await job.aresult(SECONDS_MAX) == "made"
    assert attempts == [1, 1, 1]
    assert sqlite.effects() == ["invoice 1"]


@pytest.mark.parametrize("keys", [("new", "done before"), ("new", "new")])
async def test_an_effect_that_was_rolled_back_with_another_that_was_done_before_is_told_of(
    app: encola.App, queue: str, place: Place, keys: tuple[str, ...]
) -> None:
    """AlreadyDone of the second left the transaction, which was rolled back: the first was lost, the job completed."""

    @app.task(queue=queue, retries=1, backoff=AT_ONCE)
    def invoice() -> None:
        with place.connected() as connection:
            for key in keys:
                with app.once(connection, key):
                    effect(connection, key)
            connection.commit()

    with place.connected() as connection:
        with app.once(connection, "done before"):
            effect(connection, "done before")
        connection.commit()
    async with working(app):
        job = await invoice.asend()
        with pytest.raises(encola.JobDeadError, match="this attempt had marked new before"):
            await job.aresult(SECONDS_MAX)
    assert [error.type for error in await job.aerrors()] == ["UncertainEffectError"] * 2
    assert place.effects() == ["done before"]


async def test_an_awaited_effect_that_was_rolled_back_is_told_of_too(
    app: encola.App, queue: str, async_place: AsyncPlace
) -> None:
    @app.task(queue=queue, retries=0)
    async def invoice() -> None:
        async with async_place.transaction() as connection:
            for _ in range(2):
                async with app.once(connection, "new"):
                    await async_place.effect(connection, "new")

    async with working(app):
        with pytest.raises(encola.JobDeadError, match="new was done before, but this attempt had marked new before"):
            await (await invoice.asend()).aresult(SECONDS_MAX)
    assert async_place.plain.effects() == []


def test_a_task_in_a_process_of_its_own_is_told_of_it_there(app: encola.App, sqlite: Place) -> None:
    @app.task(queue="q", run="process")
    def invoice() -> None:
        with sqlite.connected() as connection:
            for _ in range(2):
                with app.once(connection, "new"):
                    effect(connection, "new")

    job = CurrentJob("a", "invoice", "invoice/1", "q", 1)
    with pytest.raises(UncertainEffectError, match="this attempt had marked new before"):
        contextvars.copy_context().run(task_child._run, invoice, {}, job)


async def test_where_the_first_effect_was_committed_after_all_the_next_attempt_completes(
    app: encola.App, queue: str, sqlite: Place
) -> None:
    @app.task(queue=queue, backoff=AT_ONCE)
    def invoice() -> None:
        for _ in range(2):
            with sqlite.connected() as connection, connection, app.once(connection, "new"):
                effect(connection, "new")

    async with working(app):
        job = await invoice.asend()
        assert await job.aresult(SECONDS_MAX) is None
    assert [error.type for error in await job.aerrors()] == ["UncertainEffectError"]
    assert sqlite.effects() == ["new"]


async def test_several_effects_in_one_transaction_are_made_where_each_is_caught_for_itself(
    app: encola.App, queue: str, sqlite: Place
) -> None:
    @app.task(queue=queue, retries=0)
    def invoice() -> str:
        with sqlite.connected() as connection, connection:
            for key in ("a", "b", "a", "c"):
                with contextlib.suppress(encola.AlreadyDone), app.once(connection, key):
                    effect(connection, key)
        return "made"

    async with working(app):
        assert await (await invoice.asend()).aresult(SECONDS_MAX) == "made"
    assert sqlite.effects() == ["a", "b", "c"]


@pytest.mark.parametrize("level", [psycopg.IsolationLevel.REPEATABLE_READ, psycopg.IsolationLevel.SERIALIZABLE])
async def test_a_serialization_failure_is_tried_again_and_the_effect_is_there_once(
    app: encola.App, queue: str, postgresql: Place, conninfo: str, level: psycopg.IsolationLevel
) -> None:
    """Two jobs with one effect see the database as it was before either: the second to mark it must fail, and learn."""
    both = threading.Barrier(2)
    began: list[str] = []

    @app.task(queue=queue, backoff=AT_ONCE)
    def invoice(name: str) -> str:
        first = name not in began
        began.append(name)
        with psycopg.connect(conninfo) as connection:
            connection.isolation_level = level
            connection.execute("SELECT count(*) FROM effect")  # from here on it sees no later commit
            if first:
                both.wait(SECONDS_MAX)
            with app.once(connection, "invoice/1"):
                effect(connection, "invoice 1")
        return "made"

    async with working(app):
        jobs = [await invoice.asend(name) for name in ("a", "b")]
        results = [await job.aresult(SECONDS_MAX) for job in jobs]
    assert sorted(results, key=str) == [None, "made"]
    errors = [error.type for job in jobs for error in await job.aerrors()]
    assert errors == ["SerializationFailure"]
    assert postgresql.effects() == ["invoice 1"]
