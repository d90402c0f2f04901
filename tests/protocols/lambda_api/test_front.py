"""Lambda's paths come through the same front door as queues."""

import pytest

from encola.protocols.http.message import Request, Response
from encola.protocols.lambda_api.endpoint import COLLECTION
from encola.server.front import Front


def handler(name: str):  # type: ignore[no-untyped-def]
    async def answer(request: Request) -> Response:
        return Response(200, name.encode())

    return answer


FRONT = Front(handler("sqs"), handler("health"), trusting=True, lambda_api=handler("lambda"))


@pytest.mark.parametrize(
    ("path", "answerer"),
    [
        (COLLECTION, b"lambda"),
        (f"{COLLECTION}/uuid?x=1", b"lambda"),
        ("/2015-03-31/functions/f/invocations", b"lambda"),
        ("/", b"sqs"),
        ("/111122223333/2015-03-31", b"sqs"),
    ],
)
async def test_who_answers_is_told_by_the_path(path: str, answerer: bytes) -> None:
    assert (await FRONT.handle(Request("POST", path, {"host": "localhost"}, b""))).body == answerer


async def test_pages_of_other_sites_make_no_mappings() -> None:
    headers = {"host": "localhost", "origin": "https://evil.example"}
    assert (await FRONT.handle(Request("POST", COLLECTION, headers, b""))).status == 403
    assert (await FRONT.handle(Request("POST", COLLECTION, {"host": "evil.example"}, b""))).status == 403
