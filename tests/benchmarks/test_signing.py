"""The load generator signs as botocore does; else it would measure refusals."""

import datetime
from typing import Any

import pytest
from benchmarks.signing import ACCESS_KEY, CONTENT_TYPE, REGION, SECRET_KEY, Signer
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

STAMP = "20260102T030405Z"
HOST = "127.0.0.1:9324"


def by_botocore(action: str, body: bytes, monkeypatch: pytest.MonkeyPatch) -> str:
    """The Authorization header that botocore makes for the same request at the same time."""

    class Frozen(datetime.datetime):
        @classmethod
        def now(cls, tz: Any = None) -> "Frozen":
            return cls(2026, 1, 2, 3, 4, 5, tzinfo=tz)

        @classmethod
        def utcnow(cls) -> "Frozen":
            return cls(2026, 1, 2, 3, 4, 5)

    monkeypatch.setattr("botocore.auth.datetime", _Module(Frozen), raising=False)
    monkeypatch.setattr(
        "botocore.auth.get_current_datetime", lambda remove_tzinfo=True: Frozen(2026, 1, 2, 3, 4, 5), raising=False
    )
    headers = {
        "Content-Type": CONTENT_TYPE,
        "X-Amz-Target": f"AmazonSQS.{action}",
        "x-amzn-query-mode": "true",
        "User-Agent": "not signed",
    }
    request = AWSRequest("POST", f"http://{HOST}/", headers, body)
    SigV4Auth(Credentials(ACCESS_KEY, SECRET_KEY), "sqs", REGION).add_auth(request)
    assert request.headers["X-Amz-Date"] == STAMP
    return str(request.headers["Authorization"])


class _Module:
    """Stands for the module ``datetime`` in older versions of botocore, which ask it for the time."""

    def __init__(self, frozen: type) -> None:
        self.datetime = frozen
        self.timezone = datetime.timezone
        self.UTC = datetime.UTC


@pytest.mark.parametrize("action", ["SendMessage", "DeleteMessageBatch"])
@pytest.mark.parametrize("body", [b"{}", b'{"MessageBody": "' + b"x" * 3000 + b'"}'])
def test_a_request_is_signed_as_botocore_signs_it(action: str, body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    signer = Signer(HOST, stamp=STAMP)
    for _ in range(2):  # prepared, and from the template
        head, _, sent = signer.request(action, body).partition(b"\r\n\r\n")
        assert sent == body
        lines = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
        assert lines["Authorization"] == by_botocore(action, body, monkeypatch)
        assert int(lines["Content-Length"]) == len(body)
