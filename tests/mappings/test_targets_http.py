"""Functions behind URLs: which answers are results, which are failures, and which say that nothing has run."""

import asyncio
import gzip
import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from encola.mappings.functions import EMULATOR_PATH, Reference
from encola.mappings.targets.pool import Targets
from encola.mappings.targets.target import RESPONSE_BYTES_MAX, Answer, Failed, Invocation, Refused, Returned

from .conftest import Serve
from .samples import ACCOUNT, function

EVENT = b'{"Records":[]}'


@pytest.fixture
async def targets() -> AsyncIterator[Targets]:
    targets = Targets()
    yield targets
    await targets.close()


async def call(targets: Targets, url: str, **declared: object) -> Answer:
    target = targets.get(Reference(ACCOUNT, url), function(target=url, **declared))
    return await target.invoke(Invocation("invocation-1", EVENT, "arn"))


async def test_an_event_is_posted_as_json(targets: Targets, serve: Serve) -> None:
    seen: list[tuple[str, str, dict[str, str], bytes]] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append((request.method, request.path_qs, dict(request.headers), await request.read()))
        return web.Response(body=b'{"batchItemFailures":[]}')

    url = await serve(handler)
    answer = await call(targets, f"{url}/hook%2Fa?x=1", headers={"Authorization": "Bearer token"})
    assert answer == Returned(b'{"batchItemFailures":[]}')
    ((method, path, headers, body),) = seen
    assert (method, path, body) == ("POST", "/hook%2Fa?x=1", EVENT)
    assert headers["Content-Type"] == "application/json"
    assert headers["Authorization"] == "Bearer token"
    assert headers["X-Encola-Invocation-Id"] == "invocation-1"
    assert headers["Connection"] == "close"


@pytest.mark.parametrize("status", [200, 201, 202, 204])
async def test_every_2xx_is_a_result(targets: Targets, serve: Serve, status: int) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=status)

    assert await call(targets, await serve(handler)) == Returned(b"")


@pytest.mark.parametrize("status", [302, 400, 401, 404, 500, 502, 504])
async def test_other_statuses_are_failures(targets: Targets, serve: Serve, status: int) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=status, headers={"Location": "http://127.0.0.1:1/"})

    assert await call(targets, await serve(handler)) == Failed(f"status {status}")


@pytest.mark.parametrize("status", [429, 503])
async def test_a_server_that_takes_no_request_now_has_not_run_the_function(
    targets: Targets, serve: Serve, status: int
) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=status)

    assert await call(targets, await serve(handler)) == Refused(f"status {status}", throttled=True)


async def test_nobody_listens(targets: Targets) -> None:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))  # not listening
        answer = await call(targets, f"http://127.0.0.1:{one.getsockname()[1]}/")
    assert isinstance(answer, Refused)
    assert not answer.throttled


async def test_a_name_that_does_not_exist(targets: Targets) -> None:
    assert isinstance(await call(targets, "http://nowhere.invalid/"), Refused)


async def test_a_certificate_that_cannot_be_checked(targets: Targets, serve: Serve) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response()

    url = await serve(handler)
    assert isinstance(await call(targets, url.replace("http:", "https:")), Refused)


async def test_a_function_that_takes_too_long(targets: Targets, serve: Serve) -> None:
    done = asyncio.Event()

    async def handler(request: web.Request) -> web.Response:
        await done.wait()
        return web.Response()

    assert await call(targets, await serve(handler), timeout=1) == Failed("timed out after 1 seconds")
    done.set()


async def test_a_connection_that_breaks_may_have_run_the_function(targets: Targets, serve: Serve) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    answer = await call(targets, await serve(handler))
    assert isinstance(answer, Failed)
    assert "broke" in answer.problem


async def test_a_response_beyond_the_limit_is_not_read(targets: Targets, serve: Serve) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=gzip.compress(b"x" * (RESPONSE_BYTES_MAX + 1)), headers={"Content-Encoding": "gzip"})

    answer = await call(targets, await serve(handler))
    assert isinstance(answer, Failed)
    assert "longer" in answer.problem


async def test_the_emulators_errors_come_with_status_200(targets: Targets, serve: Serve) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.json_response({"errorType": "ValueError", "errorMessage": "bad\nmonth", "stackTrace": []})

    url = await serve(handler)
    assert await call(targets, f"{url}{EMULATOR_PATH}") == Failed("ValueError: bad month")
    assert isinstance(await call(targets, f"{url}/hook"), Returned)


async def test_an_error_may_be_told_by_lambdas_own_header(targets: Targets, serve: Serve) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=b"no json", headers={"X-Amz-Function-Error": "Unhandled"})

    assert await call(targets, await serve(handler)) == Failed("the function failed")


async def test_no_cookie_of_one_call_goes_into_another(targets: Targets, serve: Serve) -> None:
    cookies: list[str | None] = []

    async def handler(request: web.Request) -> web.Response:
        cookies.append(request.headers.get("Cookie"))
        return web.Response(headers={"Set-Cookie": "a=b"})

    url = (await serve(handler)).replace("127.0.0.1", "localhost")
    await call(targets, url)
    await call(targets, url)
    assert cookies == [None, None]


async def test_a_target_is_made_once_and_forgotten_when_nobody_needs_it(targets: Targets) -> None:
    reference, declared = Reference(ACCOUNT, "f"), function()
    first = targets.get(reference, declared)
    assert targets.get(reference, declared) is first
    await targets.forget(reference)
    await targets.forget(reference)
    assert targets.get(reference, declared) is not first


def test_the_time_for_a_connection_ends_before_the_whole() -> None:
    from encola.mappings.targets.http import limits_of

    assert limits_of(1) == aiohttp.ClientTimeout(total=1, sock_connect=0.5)
    assert limits_of(900) == aiohttp.ClientTimeout(total=900, sock_connect=10)
