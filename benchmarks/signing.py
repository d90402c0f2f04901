"""Whole signed requests, byte for byte as boto3 sends them, made cheaply.

A load generator that shares a machine with the server must not spend more on signing than the server does on
verifying. All that stays the same between two calls of an action is prepared once: the head of the request, the hash
of the canonical request up to the payload's digest, and the HMAC up to the canonical request's digest. What is left
are three short hashes. ``tests/benchmarks`` holds it against botocore's own signer.

The time in a signature is that of the Signer: servers take it for fifteen minutes, longer than any run lasts.
"""

import hashlib
import hmac
import time
from typing import NamedTuple

ACCESS_KEY = "AKIDBENCHMARK"
SECRET_KEY = "benchmark-secret-benchmark-secret-000000"
REGION = "us-east-1"

SIGNED_HEADERS = "content-type;host;x-amz-date;x-amz-target;x-amzn-query-mode"
CONTENT_TYPE = "application/x-amz-json-1.0"
USER_AGENT = (
    "Boto3/1.44.5 md/Botocore#1.44.5 ua/2.1 os/linux#6.18 md/arch#x86_64 lang/python#3.11.7"
    " md/pyimpl#CPython m/e,b,E,N,Z cfg/retry-mode#standard Botocore/1.44.5"
)
INVOCATION_ID = "2b8ff960-47c6-4fb3-84a1-e2cd35dcfe65"


class _Keyed:
    """HMAC-SHA256 with both pads hashed, and the start of the message too."""

    def __init__(self, key: bytes, start: bytes) -> None:
        block = key.ljust(64, b"\0")
        self.inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block) + start)
        self.outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in block))

    def sign(self, rest: bytes) -> str:
        inner, outer = self.inner.copy(), self.outer.copy()
        inner.update(rest)
        outer.update(inner.digest())
        return outer.hexdigest()


class _Template(NamedTuple):
    canonical: "hashlib._Hash"
    before_signature: str
    before_length: str


class Signer:
    """Makes requests for one server, at one time (``stamp`` as 20260131T235959Z, now if not given)."""

    def __init__(
        self, host: str, access_key: str = ACCESS_KEY, secret_key: str = SECRET_KEY, *, stamp: str | None = None
    ) -> None:
        self._host = host
        self.stamp = stamp or time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        day = self.stamp[:8]
        self._scope = f"{day}/{REGION}/sqs/aws4_request"
        self._access_key = access_key
        key = b"AWS4" + secret_key.encode()
        for part in (day, REGION, "sqs", "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        self._keyed = _Keyed(key, f"AWS4-HMAC-SHA256\n{self.stamp}\n{self._scope}\n".encode())
        self._templates: dict[str, _Template] = {}

    def request(self, action: str, body: bytes) -> bytes:
        """The bytes to send for one call of ``action``."""
        template = self._templates.get(action) or self._prepare(action)
        canonical = template.canonical.copy()
        canonical.update(hashlib.sha256(body).hexdigest().encode())
        signature = self._keyed.sign(canonical.hexdigest().encode())
        head = f"{template.before_signature}{signature}{template.before_length}{len(body)}\r\n\r\n"
        return head.encode() + body

    def _prepare(self, action: str) -> _Template:
        target = f"AmazonSQS.{action}"
        canonical = (
            f"POST\n/\n\ncontent-type:{CONTENT_TYPE}\nhost:{self._host}\nx-amz-date:{self.stamp}\n"
            f"x-amz-target:{target}\nx-amzn-query-mode:true\n\n{SIGNED_HEADERS}\n"
        )
        before_signature = (
            f"POST / HTTP/1.1\r\nHost: {self._host}\r\nAccept-Encoding: identity\r\nX-Amz-Target: {target}\r\n"
            f"Content-Type: {CONTENT_TYPE}\r\nx-amzn-query-mode: true\r\nUser-Agent: {USER_AGENT}\r\n"
            f"X-Amz-Date: {self.stamp}\r\nAuthorization: AWS4-HMAC-SHA256 Credential={self._access_key}/{self._scope},"
            f" SignedHeaders={SIGNED_HEADERS}, Signature="
        )
        before_length = (
            f"\r\namz-sdk-invocation-id: {INVOCATION_ID}\r\namz-sdk-request: attempt=1; max=3\r\nContent-Length: "
        )
        template = _Template(hashlib.sha256(canonical.encode()), before_signature, before_length)
        self._templates[action] = template
        return template
