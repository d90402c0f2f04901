"""What a task needs besides its arguments: opened once, whatever kind its provider is, and closed at the end."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Annotated, Any

import pytest

import encola
from encola.consumers.resources import Resources
from encola.testing import Inline

told: list[str] = []


@pytest.fixture(autouse=True)
def _nothing_told() -> None:
    told.clear()


class Closing:
    """A resource that is a context manager."""

    def __enter__(self) -> str:
        told.append("open")
        return "resource"

    def __exit__(self, *error: object) -> None:
        told.append("close")


class AsyncClosing:
    """... or an asynchronous one."""

    async def __aenter__(self) -> str:
        told.append("open")
        return "resource"

    async def __aexit__(self, *error: object) -> None:
        told.append("close")


def plain() -> str:
    told.append("open")
    return "resource"


async def plain_async() -> str:
    return plain()


def generator() -> Iterator[str]:
    told.append("open")
    yield "resource"
    told.append("close")


async def async_generator() -> AsyncIterator[str]:
    told.append("open")
    yield "resource"
    told.append("close")


async def async_to_manager() -> Closing:
    return Closing()


KINDS: list[Callable[[], Any]] = [
    generator, async_generator, Closing, AsyncClosing, async_to_manager, contextlib.contextmanager(generator),
    contextlib.asynccontextmanager(async_generator),
]  # fmt: skip


@pytest.mark.parametrize("provider", [plain, plain_async])
async def test_what_a_function_answers_is_the_resource_and_needs_no_close(provider: Callable[[], Any]) -> None:
    resources = Resources()
    assert [await resources.get(provider) for _ in range(3)] == ["resource"] * 3
    await resources.close()
    assert told == ["open"]


@pytest.mark.parametrize("provider", KINDS, ids=lambda kind: getattr(kind, "__name__", str(kind)))
async def test_what_can_be_closed_is_opened_once_and_closed_once(provider: Callable[[], Any]) -> None:
    resources = Resources()
    found = await asyncio.gather(*(resources.get(provider) for _ in range(5)))
    assert found == ["resource"] * 5
    assert told == ["open"]
    await resources.close()
    await resources.close()
    assert told == ["open", "close"]


async def test_all_wait_for_the_one_who_opens_it() -> None:
    go = asyncio.Event()

    async def slow() -> object:
        told.append("open")
        await go.wait()
        return object()

    resources = Resources()
    uses = [asyncio.create_task(resources.get(slow)) for _ in range(10)]
    await asyncio.sleep(0)
    uses[0].cancel()  # who asked first goes away: the others get it all the same
    await asyncio.sleep(0)
    go.set()
    found = await asyncio.gather(*uses[1:])
    assert len({id(one) for one in found}) == 1
    assert told == ["open"]


async def test_after_a_failure_the_next_use_tries_again_and_only_one_does() -> None:
    tries = 0

    async def shaky() -> str:
        nonlocal tries
        tries += 1
        await asyncio.sleep(0)
        if tries == 1:
            raise ConnectionError("not yet")
        return "resource"

    async def use() -> str:
        try:
            found: str = await resources.get(shaky)
        except ConnectionError:
            found = await resources.get(shaky)
        return found

    resources = Resources()
    assert await asyncio.gather(*(use() for _ in range(10))) == ["resource"] * 10
    assert tries == 2


async def test_the_last_that_was_opened_is_closed_first() -> None:
    def named(name: str) -> Callable[[], Iterator[str]]:
        def provider() -> Iterator[str]:
            yield name
            told.append(name)

        return provider

    resources = Resources()
    for name in ("first", "second", "third"):
        await resources.get(named(name))
    await resources.close()
    assert told == ["third", "second", "first"]


async def test_an_error_at_a_close_is_logged_and_keeps_none_of_the_others_open(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It was raised into the generators of those that were opened before, which then did not come to their close."""

    def broken() -> Iterator[str]:
        yield "resource"
        raise OSError("it was gone already")

    resources = Resources()
    await resources.get(generator)
    await resources.get(broken)
    await resources.get(async_generator)
    with caplog.at_level(logging.ERROR):
        await resources.close()
    assert told == ["open", "open", "close", "close"]
    assert "a resource could not be closed" in caplog.text
    assert "it was gone already" in caplog.text


def test_a_provider_that_ends_the_program_fails_its_task_and_not_the_worker() -> None:
    app = encola.App("needy")

    def exits() -> str:
        raise SystemExit(3)

    @app.task(queue="q", retries=0)
    async def work(thing: Annotated[str, encola.Use(exits)] = encola.USE) -> None: ...

    with Inline(app) as run:
        job = work.send()
        run.until_idle()
        with pytest.raises(encola.JobDeadError, match=r"sys.exit\(3\)"):
            job.result()


async def test_what_is_being_opened_when_all_is_closed_is_given_up() -> None:
    async def endless() -> AsyncIterator[str]:
        try:
            await asyncio.Event().wait()
            yield "never"
        finally:
            told.append("given up")

    resources = Resources()
    use = asyncio.create_task(resources.get(endless))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await resources.close()
    with pytest.raises(asyncio.CancelledError):
        await use
    assert told == ["given up"]


def test_a_task_gets_its_resources_and_a_provider_that_fails_counts_as_its_failure() -> None:
    app = encola.App("needy")
    tries: list[int] = []

    def shaky() -> Iterator[str]:
        tries.append(1)
        if len(tries) == 1:
            raise ConnectionError("not yet")
        yield "database"
        told.append("close")

    @app.task(queue="q")
    def use(text: str, database: Annotated[str, encola.Use(shaky)] = encola.USE) -> str:
        return f"{text} in {database}"

    @app.task(queue="q")
    async def use_too(*, database: Annotated[str, encola.Use(shaky)] = encola.USE) -> str:
        return database

    with Inline(app) as run:
        first, second = use.send("row"), use_too.send()
        run.until_idle()
        assert first.status() == "retrying"
        run.advance(minutes=1)
        assert (first.result(), second.result()) == ("row in database", "database")
        assert first.errors()[0].message == "not yet"
        assert told == []
    assert told == ["close"]
    assert len(tries) == 2


async def _cancelled_within() -> AsyncIterator[str]:
    yield "resource"
    raise asyncio.CancelledError


def _exits() -> Iterator[str]:
    yield "resource"
    raise SystemExit(3)


def _yields_twice() -> Iterator[str]:
    yield "resource"
    yield "another"


@pytest.mark.parametrize("provider", [_yields_twice, _exits, _cancelled_within])
async def test_whatever_comes_out_of_a_close_is_logged_and_no_more(
    provider: Callable[[], Any], caplog: pytest.LogCaptureFixture
) -> None:
    """The worker ended with a traceback, and what had been opened before was not closed."""
    resources = Resources()
    await resources.get(generator)
    await resources.get(provider)
    await resources.close()
    assert told == ["open", "close"]
    assert "a resource could not be closed" in caplog.text
