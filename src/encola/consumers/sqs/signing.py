"""AWS Signature Version 4 of our requests: what botocore computes, in a fifth of its time.

All requests are POSTs to one URL with the same headers, so nearly everything that is hashed is known beforehand: the
derived key lasts a day, both halves of the HMAC and the start of the canonical request last a second. What is left
for a request are three short hashes. ``tests/consumers/sqs`` holds it against botocore's own signer.

Source: AWS IAM User Guide, "Create a signed AWS API request".
"""

import hashlib
import hmac
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hashlib import _Hash

CONTENT_TYPE = "application/x-amz-json-1.0"
SERVICE = "sqs"

_ALGORITHM = "AWS4-HMAC-SHA256"
_TERMINATOR = "aws4_request"
_BLOCK_LENGTH = 64  # of SHA-256
_INNER_PAD = bytes(byte ^ 0x36 for byte in range(256))
_OUTER_PAD = bytes(byte ^ 0x5C for byte in range(256))


class Signer:
    """Signs for one set of credentials, one URL (by its host and path) and one region."""

    def __init__(
        self, host: str, path: str, region: str, access_key: str, secret_key: str, token: str | None = None
    ) -> None:
        self._host = host
        self._path = path
        self._region = region
        self._access_key = access_key
        self._secret_key = secret_key
        self._token = token
        names = ["content-type", "host", "x-amz-date", "x-amz-target"]
        if token:
            names.insert(3, "x-amz-security-token")
        self._signed_names = ";".join(names)
        self._day = ""
        self._second = -1
        self._starts: dict[str, _Hash] = {}

    def headers(self, target: str, body: bytes, now: float) -> dict[str, str]:
        """All headers of a request for the operation ``target`` that are signed, but for Host, and the signature."""
        second = int(now)
        if second != self._second:
            self._begin(second)
        start = self._starts.get(target)
        if start is None:
            start = self._starts[target] = hashlib.sha256(self._canonical_start(target))
        canonical = start.copy()
        canonical.update(hashlib.sha256(body).hexdigest().encode())
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(canonical.hexdigest().encode())
        outer.update(inner.digest())
        headers = {
            "Content-Type": CONTENT_TYPE,
            "X-Amz-Target": target,
            "X-Amz-Date": self._stamp,
            "Authorization": self._authorization + outer.hexdigest(),
        }
        if self._token:
            headers["X-Amz-Security-Token"] = self._token
        return headers

    def _begin(self, second: int) -> None:
        """What lasts for a second, and for a day."""
        self._stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second))
        if not self._stamp.startswith(self._day) or not self._day:
            self._begin_day(self._stamp[:8])
        self._inner = self._day_inner.copy()
        self._inner.update(f"{_ALGORITHM}\n{self._stamp}\n{self._scope}\n".encode())
        self._starts.clear()
        self._second = second

    def _begin_day(self, day: str) -> None:
        self._scope = f"{day}/{self._region}/{SERVICE}/{_TERMINATOR}"
        self._authorization = (
            f"{_ALGORITHM} Credential={self._access_key}/{self._scope}, SignedHeaders={self._signed_names}, Signature="
        )
        key = f"AWS4{self._secret_key}".encode()
        for part in (day, self._region, SERVICE, _TERMINATOR):
            key = hmac.digest(key, part.encode(), "sha256")
        block = key.ljust(_BLOCK_LENGTH, b"\0")
        self._day_inner = hashlib.sha256(block.translate(_INNER_PAD))
        self._outer = hashlib.sha256(block.translate(_OUTER_PAD))
        self._day = day

    def _canonical_start(self, target: str) -> bytes:
        token = f"x-amz-security-token:{self._token}\n" if self._token else ""
        return (
            f"POST\n{self._path}\n\ncontent-type:{CONTENT_TYPE}\nhost:{self._host}\nx-amz-date:{self._stamp}\n"
            f"{token}x-amz-target:{target}\n\n{self._signed_names}\n"
        ).encode()
