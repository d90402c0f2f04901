"""Requests as botocore signs them, at a moment that the test chooses."""

import datetime
from collections.abc import Iterable
from typing import Any
from unittest import mock
from urllib.parse import urlsplit

from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from encola.protocols.aws.identity import Authenticator, Credential
from encola.protocols.http.message import Request

NOW = 1_767_323_045.0  # 2026-01-02T03:04:05Z
KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
ACCOUNT = "111122223333"
ORIGIN = "http://queue.test:9324"
CREDENTIAL = Credential(KEY, SECRET, ACCOUNT)

Headers = Iterable[tuple[str, str]]


def authenticator(*credentials: Credential, now: float = NOW) -> Authenticator:
    return Authenticator(credentials or (CREDENTIAL,), wall=lambda: now)


def signed(
    method: str = "POST",
    url: str = "/",
    headers: Headers = (),
    body: bytes = b"",
    *,
    params: dict[str, str] | None = None,
    at: float = NOW,
    key: str = KEY,
    secret: str = SECRET,
    token: str | None = None,
    service: str = "sqs",
    region: str = "us-east-1",
    expires: int | None = None,
    unsigned_payload: bool = False,
    origin: str = ORIGIN,
) -> Request:
    """A request with an Authorization header; with ``expires`` a presigned URL instead."""
    made = AWSRequest(method, origin + url, data=body, params=params)
    for name, value in headers:
        made.headers.add_header(name, value)
    made.context["payload_signing_enabled"] = not unsigned_payload
    given: tuple[Any, ...] = (Credentials(key, secret, token), service, region)
    auth = SigV4Auth(*given) if expires is None else SigV4QueryAuth(*given, expires=expires)
    moment = datetime.datetime.fromtimestamp(at, datetime.UTC)
    with mock.patch("botocore.auth.get_current_datetime", return_value=moment):
        auth.add_auth(made)
    prepared = made.prepare()
    parts = urlsplit(prepared.url)
    return Request(
        method,
        parts.path + (f"?{parts.query}" if parts.query else ""),
        {"host": parts.netloc, **_merged(made.headers.items())},
        body,
        "127.0.0.1",
        origin.startswith("https"),
    )


def _merged(headers: Headers) -> dict[str, str]:
    """As the HTTP listener hands headers over: names in lower case, values stripped, repeated ones joined."""
    found: dict[str, str] = {}
    for name, value in headers:
        value = value.strip()
        name = name.lower()
        found[name] = f"{found[name]},{value}" if name in found else value
    return found
