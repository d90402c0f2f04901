"""What a server without credentials does not take: requests that a page of another site made a browser send."""

import http.client

import pytest

from encola.protocols.http.message import Request, Response
from encola.server.front import FOREIGN_NAME, FOREIGN_PAGE, Front
from encola.testing import EncolaServer


async def _sqs(request: Request) -> Response:
    return Response(200, b"sqs")


async def _health(request: Request) -> Response:
    return Response(200, b"health")


TRUSTING = Front(_sqs, _health, trusting=True)
GUARDED = Front(_sqs, _health, trusting=False)


async def answer(front: Front, headers: dict[str, str], method: str = "POST", target: str = "/") -> str:
    """Who answered: sqs, health, or nobody."""
    response = await front.handle(Request(method, target, {"host": "127.0.0.1:9324", **headers}, b""))
    return "nobody" if response in (FOREIGN_PAGE, FOREIGN_NAME) else response.body.decode()


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "http://127.0.0.1.evil.example"},
        {"origin": "http://localhost.evil.example:9324"},
        {"origin": "null"},  # a sandboxed frame, a file
        {"origin": ""},
        {"origin": "http://["},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "something new"},
        {"origin": "http://localhost:9324", "host": "rebound.example:9324"},
        {"sec-fetch-site": "same-origin", "host": "rebound.example:9324"},
        {"sec-fetch-site": "same-origin", "host": ""},
        {"origin": "https://evil.example", "sec-fetch-site": "same-origin"},
        {"host": "rebound.example:9324"},  # a browser need not send either of the others
        {"host": "queue.internal"},
    ],
)
async def test_pages_of_other_sites_are_refused_wherever_they_knock(headers: dict[str, str]) -> None:
    assert await answer(TRUSTING, headers) == "nobody"
    assert await answer(TRUSTING, headers, "GET", "/?Action=ListQueues") == "nobody"
    assert await answer(TRUSTING, headers, "OPTIONS") == "nobody"
    assert await answer(TRUSTING, headers, "GET", "/health") == "nobody"
    assert await answer(GUARDED, headers) == "sqs"  # there, only a signature counts


@pytest.mark.parametrize(
    "headers",
    [
        {},  # no browser
        {"host": "192.0.2.7:9324"},
        {"origin": "http://localhost:9324"},
        {"origin": "http://tool.localhost:8080"},
        {"origin": "http://[::1]:9324", "host": "[::1]:9324"},
        {"sec-fetch-site": "none"},  # typed into the address bar
        {"sec-fetch-site": "same-origin", "host": "localhost:9324"},
    ],
)
async def test_clients_and_pages_of_this_machine_are_let_in(headers: dict[str, str]) -> None:
    assert await answer(TRUSTING, headers) == "sqs"


@pytest.mark.parametrize("target", ["/health", "/health/live", "/health/ready", "/health?verbose"])
async def test_health_is_asked_by_reading(target: str) -> None:
    assert await answer(GUARDED, {}, "GET", target) == "health"
    assert await answer(GUARDED, {}, "HEAD", target) == "health"
    assert await answer(GUARDED, {}, "POST", target) == "sqs"
    assert await answer(GUARDED, {}, "GET", f"{target}x") == ("health" if "?" in target else "sqs")


def test_the_real_door_with_keys_answers_browsers_as_anybody_else() -> None:
    with EncolaServer() as server:
        connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=10)
        connection.request("GET", "/?Action=ListQueues", headers={"Origin": "https://evil.example"})
        refusal = connection.getresponse()
        assert refusal.status == 403
        assert b"MissingAuthenticationToken" in refusal.read()
        connection.close()


async def test_the_name_of_the_public_url_is_ours() -> None:
    front = Front(_sqs, _health, trusting=True, public_host="queue.internal")
    assert await answer(front, {"host": "queue.internal"}) == "sqs"
    assert await answer(front, {"host": "queue.internal:443", "origin": "https://queue.internal"}) == "sqs"
    assert await answer(front, {"host": "other.internal"}) == "nobody"
    assert await answer(front, {"host": ""}) == "nobody"
