"""AWS Signature Version 4: what a client claims, the canonical form of its request, and the signature. Pure.

A signature is an HMAC over the time, the credential scope and the digest of a *canonical request*:

    method \\n path \\n query \\n name:value\\n (each signed header) \\n signed header names \\n payload digest

Sources: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html and
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-authentication-methods.html.
"""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import quote, quote_from_bytes, unquote_to_bytes

import msgspec

from encola.protocols.aws.errors import AuthError, incomplete, mismatch

ALGORITHM = "AWS4-HMAC-SHA256"
TERMINATOR = "aws4_request"
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
QUERY_PAIRS_MAX = 1000  # of a query that is canonicalized
EMPTY_DIGEST = hashlib.sha256(b"").hexdigest()

_SAFE = "-_.~"  # besides letters and digits: RFC 3986's unreserved characters
_BLOCK_LENGTH = 64  # of SHA-256
_STAMP_LENGTH = len("20260101T000000Z")


class Claim(msgspec.Struct, frozen=True):
    """What a signed request says about its signature; nothing of it is proved yet."""

    access_key: str
    day: str
    region: str
    service: str
    terminator: str
    signed_headers: tuple[str, ...]
    signature: str

    @property
    def scope(self) -> str:
        return f"{self.day}/{self.region}/{self.service}/{self.terminator}"


def claim_of_header(text: str) -> Claim:
    """Reads an Authorization header. Raises AuthError (IncompleteSignature) where a part is missing or malformed."""
    algorithm, _, rest = text.strip().partition(" ")
    if algorithm != ALGORITHM:
        raise incomplete(f"Authorization header requires the algorithm '{ALGORITHM}'.")
    fields: dict[str, str] = {}
    for part in rest.split(","):
        name, equals, value = part.strip().partition("=")
        if not equals:
            raise incomplete("The Authorization header has a part that is not a key=value pair (missing equal-sign).")
        if name in fields:
            raise incomplete(f"Authorization header has more than one '{name}' parameter.")
        fields[name] = value
    missing = [name for name in ("Credential", "Signature", "SignedHeaders") if not fields.get(name)]
    if missing:
        raise incomplete(" ".join(f"Authorization header requires '{name}' parameter." for name in missing))
    return _claim(fields["Credential"], fields["SignedHeaders"], fields["Signature"])


def claim_of_query(query: Mapping[str, str]) -> Claim:
    """Reads the X-Amz-* parameters of a presigned URL. Raises AuthError (IncompleteSignature)."""
    if query.get("X-Amz-Algorithm") != ALGORITHM:
        raise incomplete(f"AWS query-string parameters must include 'X-Amz-Algorithm' with the value '{ALGORITHM}'.")
    names = ("X-Amz-Credential", "X-Amz-Signature", "X-Amz-SignedHeaders", "X-Amz-Date", "X-Amz-Expires")
    missing = [name for name in names if not query.get(name)]
    if missing:
        raise incomplete(" ".join(f"AWS query-string parameters must include '{name}'." for name in missing))
    return _claim(query["X-Amz-Credential"], query["X-Amz-SignedHeaders"], query["X-Amz-Signature"])


def _claim(credential: str, signed_headers: str, signature: str) -> Claim:
    parts = credential.split("/")
    if len(parts) != 5 or not all(parts):
        raise incomplete("Credential must have exactly 5 slash-delimited elements, as keyid/date/region/service/term.")
    names = tuple(signed_headers.split(";"))
    if "host" not in names:
        raise mismatch("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization header.")
    access_key, day, region, service, terminator = parts
    return Claim(access_key, day, region, service, terminator, names, signature)


def check_scope(claim: Claim, service: str) -> None:
    """Any region is served, but the service and the terminator must be right. Raises AuthError."""
    if claim.service != service:
        raise mismatch(f"Credential should be scoped to correct service: '{service}'.")
    if claim.terminator != TERMINATOR:
        raise mismatch(f"Credential should be scoped with a valid terminator: '{TERMINATOR}'.")


def seconds_of_stamp(stamp: str) -> float:
    """Reads ``20260131T235959Z``. Raises AuthError (IncompleteSignature) for anything else."""
    try:
        if len(stamp) != _STAMP_LENGTH or not stamp.isascii() or not (stamp[:8] + stamp[9:15]).isdigit():
            raise ValueError(stamp)
        return datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise incomplete("Date must be in ISO-8601 'basic format', as 20260131T235959Z.") from None


def stamp_of_seconds(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%dT%H%M%SZ")


def stamp_of_date_header(text: str) -> str:
    """The stamp of an HTTP Date header, which may stand in for X-Amz-Date. Raises AuthError."""
    if len(text) == _STAMP_LENGTH and text.endswith("Z"):
        return text
    try:
        date = parsedate_to_datetime(text)
        return date.replace(tzinfo=date.tzinfo or UTC).astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    except (ValueError, TypeError, OverflowError, IndexError):
        raise incomplete("The Date header is not a valid date.") from None


def canonical_path(path: str) -> str:
    """The path without dot segments and empty ones, encoded once more (every service but S3 does that)."""
    if path == "/":
        return path
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment and segment != ".":
            kept.append(segment)
    tail = "/" if kept and path.endswith("/") else ""
    return quote("/" + "/".join(kept) + tail, safe="/" + _SAFE)


def canonical_query(query: str) -> str:
    """The parameters sorted by name and value, in one spelling, without the signature itself. Raises AuthError."""
    if not query:
        return ""
    if query.count("&") >= QUERY_PAIRS_MAX:
        raise AuthError(400, "InvalidParameterValue", f"A query may have at most {QUERY_PAIRS_MAX} parameters.")
    pairs = []
    for part in query.split("&"):
        name, _, value = part.partition("=")
        if part and name != "X-Amz-Signature":
            pairs.append((_respelled(name), _respelled(value)))
    return "&".join([f"{name}={value}" for name, value in sorted(pairs)])


def _respelled(text: str) -> str:
    return quote_from_bytes(unquote_to_bytes(text.replace("+", " ")), safe=_SAFE)


def headers_template(names: tuple[str, ...]) -> str:
    """The lines of the signed headers, with ``%s`` for each value: the same for all requests of a client."""
    return "".join([f"{name.replace('%', '%%')}:%s\n" for name in names])


def canonical_headers(template: str, names: tuple[str, ...], headers: Mapping[str, str]) -> str:
    """One line for each signed header. Raises KeyError when a signed header did not come."""
    lines = template % tuple(map(headers.__getitem__, names))
    if "  " in lines or "\t" in lines:  # rare: runs of blanks inside a value count as one
        lines = "".join([f"{name}:{' '.join(headers[name].split())}\n" for name in names])
    return lines


class SigningKey:
    """The key that a secret gives for one day, region and service, ready to sign.

    HMAC-SHA256 (RFC 2104) with both pads hashed beforehand: copying the two states costs half of ``hmac.digest``,
    and the same key signs every request of a client for a day. Not a struct, so that no repr shows it.
    """

    __slots__ = ("_inner", "_outer")

    def __init__(self, secret: str, claim: Claim) -> None:
        key = b"AWS4" + secret.encode()
        for part in (claim.day, claim.region, claim.service, claim.terminator):
            key = hmac.digest(key, part.encode(), "sha256")
        block = key.ljust(_BLOCK_LENGTH, b"\0")
        self._inner = hashlib.sha256(bytes([byte ^ 0x36 for byte in block]))
        self._outer = hashlib.sha256(bytes([byte ^ 0x5C for byte in block]))

    def sign(self, stamp: str, scope: str, canonical_request: str) -> str:
        """The signature in hexadecimal digits."""
        digest = hashlib.sha256(canonical_request.encode()).hexdigest()
        inner = self._inner.copy()
        inner.update(f"{ALGORITHM}\n{stamp}\n{scope}\n{digest}".encode())
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.hexdigest()
