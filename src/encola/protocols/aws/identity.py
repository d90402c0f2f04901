"""Finds out who calls: the one door through which every AWS protocol lets a request in.

With credentials, each request must carry a valid Signature Version 4, in its Authorization header or as a presigned
URL. Without any, everybody is let in and an access key only names an account; the server then listens on
the loopback interface alone.

What repeats from request to request is kept: the part of an Authorization header before its signature gives a *grant*
(identity, signing key, signed names) once a signature under it was proved. Only proved ones are kept, so nobody
can fill that table with rubbish, and it has a bound.
"""

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Sequence
from urllib.parse import parse_qsl

from encola.protocols.aws.credentials import DEFAULT_REGION, Credential, Identity, anyone, identity_of
from encola.protocols.aws.errors import AuthError, incomplete, mismatch, missing_token, unknown_key
from encola.protocols.aws.sigv4 import (
    EMPTY_DIGEST,
    QUERY_PAIRS_MAX,
    UNSIGNED_PAYLOAD,
    Claim,
    SigningKey,
    canonical_headers,
    canonical_path,
    canonical_query,
    check_scope,
    claim_of_header,
    claim_of_query,
    headers_template,
    seconds_of_stamp,
    stamp_of_date_header,
    stamp_of_seconds,
)
from encola.protocols.http.message import Request

__all__ = ["SKEW_SECONDS_MAX", "AuthError", "Authenticator", "Credential", "Identity"]

SERVICE = "sqs"
SKEW_SECONDS_MAX = 15 * 60
EXPIRES_SECONDS_MAX = 7 * 24 * 3600  # of a presigned URL
GRANTS_MAX = 4096
GUESTS_MAX = 4096


class _Grant:
    """What the constant part of an Authorization header gives; not a struct, so that no repr shows the key."""

    __slots__ = ("identity", "key", "names", "names_text", "scope", "signs_target", "template")

    def __init__(self, claim: Claim, identity: Identity | None, key: SigningKey) -> None:
        self.identity = identity
        self.key = key
        self.names = claim.signed_headers
        self.template = headers_template(claim.signed_headers)
        self.names_text = ";".join(claim.signed_headers)
        self.scope = claim.scope
        self.signs_target = "x-amz-target" in claim.signed_headers


class Authenticator:
    """See the module. ``service`` is what signatures are for; ``wall`` answers seconds since 1970, and they may be 15
    minutes off it, either way.

    Raises ValueError when two credentials share an access key.
    """

    def __init__(
        self, credentials: Sequence[Credential], *, service: str = SERVICE, wall: Callable[[], float] = time.time
    ) -> None:
        self._service = service
        self._credentials = {one.access_key: one for one in credentials}
        if len(self._credentials) != len(credentials):
            raise ValueError("two credentials have the same access_key")
        self._wall = wall
        self._open = not credentials
        self._nobody = secrets.token_hex(32)  # an unknown key takes the same way as a known one, with this secret
        self._grants: dict[str, _Grant] = {}
        self._guests: dict[str, Identity] = {}
        self._stamp: str | None = None
        self._stamp_seconds = 0.0

    @property
    def is_open(self) -> bool:
        """True when no credential is declared and everybody is let in."""
        return self._open

    def authenticate(self, request: Request) -> Identity:
        """Answers who sent the request. Raises AuthError."""
        text = request.headers.get("authorization", "")
        if self._open:
            return self._guest(text, request.target)
        if text:
            return self._of_header(text, request)
        if "X-Amz-Signature=" in request.target or "X-Amz-Algorithm=" in request.target:
            return self._of_query(request)
        raise missing_token()

    # ---- nobody has to prove anything ----

    def _guest(self, authorization: str, target: str) -> Identity:
        credential = authorization.partition("Credential=")[2].partition(",")[0]
        if not credential and "X-Amz-Credential=" in target:
            credential = _parameters(target.partition("?")[2]).get("X-Amz-Credential", "")
        guest = self._guests.get(credential)
        if guest is None:
            parts = credential.strip().split("/")
            region = parts[2] if len(parts) == 5 and parts[2] else DEFAULT_REGION
            guest = anyone(parts[0], region)
            if len(self._guests) >= GUESTS_MAX:
                self._guests.clear()
            self._guests[credential] = guest
        return guest

    # ---- the Authorization header ----

    def _of_header(self, text: str, request: Request) -> Identity:
        prefix, _, given = text.rpartition("Signature=")
        grant = self._grants.get(prefix)
        if grant is not None:
            self._prove(grant, request, given)
        else:
            claim = claim_of_header(text)
            check_scope(claim, self._service)
            grant = self._grant(claim)
            self._prove(grant, request, claim.signature)
            if given == claim.signature:  # the signature is the last part, as with every client that we know
                if len(self._grants) >= GRANTS_MAX:
                    self._grants.clear()
                self._grants[prefix] = grant
        if grant.identity is None:
            raise unknown_key()
        return grant.identity

    def _grant(self, claim: Claim) -> _Grant:
        credential = self._credentials.get(claim.access_key)
        secret = credential.secret_key if credential else self._nobody
        identity = identity_of(credential, claim.region) if credential else None
        return _Grant(claim, identity, SigningKey(secret, claim))

    def _prove(self, grant: _Grant, request: Request, given: str) -> None:
        headers = request.headers
        stamp = headers.get("x-amz-date")
        if stamp is None:
            date = headers.get("date")
            if date is None:
                raise incomplete("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
            stamp = stamp_of_date_header(date)
        self._check_skew(stamp, grant.scope)
        if not grant.signs_target and "x-amz-target" in headers:
            raise mismatch("'X-Amz-Target' must be a 'SignedHeader' in the AWS Authorization header.")
        path, query = request.target, ""
        if path != "/":
            path, _, query = path.partition("?")
            path, query = canonical_path(path), canonical_query(query)
        self._compare(grant, request, stamp, path, query, given, _payload_digest(grant.names, request))

    def _compare(
        self, grant: _Grant, request: Request, stamp: str, path: str, query: str, given: str, digest: str
    ) -> None:
        try:
            lines = canonical_headers(grant.template, grant.names, request.headers)
        except KeyError:
            raise (mismatch() if grant.identity else unknown_key()) from None
        canonical = f"{request.method}\n{path}\n{query}\n{lines}\n{grant.names_text}\n{digest}"
        expected = grant.key.sign(stamp, grant.scope, canonical)
        if not hmac.compare_digest(expected.encode(), given.encode()) or grant.identity is None:
            raise mismatch() if grant.identity else unknown_key()

    def _check_skew(self, stamp: str, scope: str) -> None:
        if stamp != self._stamp:  # clients stamp whole seconds: most requests share one
            seconds = seconds_of_stamp(stamp)
            self._stamp, self._stamp_seconds = stamp, seconds
        if scope[:8] != stamp[:8] or scope[8] != "/":
            raise mismatch(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
                f"'{scope.partition('/')[0]}' != '{stamp[:8]}'."
            )
        now = self._wall()
        if now - self._stamp_seconds > SKEW_SECONDS_MAX:
            raise _too_old(stamp, now, SKEW_SECONDS_MAX)
        if self._stamp_seconds - now > SKEW_SECONDS_MAX:
            limit = stamp_of_seconds(now + SKEW_SECONDS_MAX)
            raise mismatch(
                f"Signature not yet current: {stamp} is still later than {limit} ({stamp_of_seconds(now)} + 15 min.)"
            )

    # ---- presigned URLs ----

    def _of_query(self, request: Request) -> Identity:
        path, _, query = request.target.partition("?")
        parameters = _parameters(query)
        claim = claim_of_query(parameters)
        check_scope(claim, self._service)
        stamp = parameters["X-Amz-Date"]
        self._check_expiry(stamp, parameters["X-Amz-Expires"], claim)
        if "x-amz-target" in request.headers and "x-amz-target" not in claim.signed_headers:
            raise mismatch("'X-Amz-Target' must be a 'SignedHeader' in the AWS query-string parameters.")
        grant = self._grant(claim)
        digest = _payload_digest(claim.signed_headers, request)
        self._compare(grant, request, stamp, canonical_path(path), canonical_query(query), claim.signature, digest)
        if grant.identity is None:
            raise unknown_key()
        return grant.identity

    def _check_expiry(self, stamp: str, expires: str, claim: Claim) -> None:
        if not (expires.isascii() and expires.isdigit() and len(expires) <= 6 and int(expires) <= EXPIRES_SECONDS_MAX):
            raise incomplete(f"X-Amz-Expires must be between 0 and {EXPIRES_SECONDS_MAX} seconds.")
        seconds = seconds_of_stamp(stamp)
        if claim.day != stamp[:8]:
            raise mismatch(f"Date in Credential scope does not match X-Amz-Date: '{claim.day}' != '{stamp[:8]}'.")
        now = self._wall()
        if now > seconds + int(expires):
            raise _too_old(stamp, now, int(expires))
        if seconds - now > SKEW_SECONDS_MAX:
            limit = stamp_of_seconds(now + SKEW_SECONDS_MAX)
            raise mismatch(
                f"Signature not yet current: {stamp} is still later than {limit} ({stamp_of_seconds(now)} + 15 min.)"
            )


def _too_old(stamp: str, now: float, allowed_seconds: int) -> AuthError:
    limit, current = stamp_of_seconds(now - allowed_seconds), stamp_of_seconds(now)
    allowed = f"{allowed_seconds // 60} min." if allowed_seconds % 60 == 0 else f"{allowed_seconds} s"
    return mismatch(f"Signature expired: {stamp} is now earlier than {limit} ({current} - {allowed})")


def _payload_digest(names: tuple[str, ...], request: Request) -> str:
    """The digest that the signature covers: of the body as it came, whatever the client says of it.

    A signed x-amz-content-sha256 must tell the truth; UNSIGNED-PAYLOAD leaves the body to TLS, so it needs TLS.
    """
    body = request.body
    digest = hashlib.sha256(body).hexdigest() if body else EMPTY_DIGEST
    if "x-amz-content-sha256" in names:
        declared = request.headers.get("x-amz-content-sha256", "")
        if declared == UNSIGNED_PAYLOAD and request.secure:
            return declared
        if declared != digest:
            raise mismatch("The provided 'x-amz-content-sha256' header does not match what was computed.")
    return digest


def _parameters(query: str) -> dict[str, str]:
    """The query's parameters; of a name that comes twice, the first. Raises AuthError when there are too many.

    What a presigned URL says of its signature may come once only.
    """
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=QUERY_PAIRS_MAX)
    except ValueError:
        raise AuthError(
            400, "InvalidParameterValue", f"A query may have at most {QUERY_PAIRS_MAX} parameters."
        ) from None
    found: dict[str, str] = {}
    for name, value in pairs:
        if name in found and name.startswith("X-Amz-"):
            raise incomplete(f"AWS query-string parameters must include '{name}' only once.")
        found.setdefault(name, value)
    return found
