"""Who looks at a page: found out of a request, once, before anything else is done.

    open server (no credentials)     everybody on this machine is an operator of the account that the page names
    a proxy's header                 a person whom the proxy signed in, if the request comes from the proxy
    a session's cookie               whoever gave an access key with its secret key on the sign-in page
    HTTP Basic                       the same two, from a script; for reading only

A session is a signed cookie, so it outlives a restart of the server, and needs no place in it. It is signed with the
server's own key and with the credential's secret: if that changes, or the credential goes, the session ends.
"""

import hmac
import secrets
import time
from collections import deque
from collections.abc import Callable, Sequence

import msgspec

from encola.dashboard import cookies, tokens
from encola.dashboard.config import HOUR_SECONDS, DashboardConfig
from encola.protocols.aws.basic import BasicKeys, is_basic
from encola.protocols.aws.credentials import (
    DEFAULT_ACCOUNT,
    DEFAULT_REGION,
    Credential,
    Identity,
    anyone,
    identity_of,
    is_account,
)
from encola.protocols.http.message import Request

SESSION = "encola_session"
VISIT = "encola_visit"
"""The cookie that forms are bound to where nobody signs in."""

READS = ("Get*", "List*", "Find*", "Peek*")
ATTEMPTS_MAX = 10
ATTEMPTS_SECONDS = 60.0
"""So many failed sign-ins of one address in this time; then it has to wait."""

ADDRESSES_MAX = 10_000


class Visitor(msgspec.Struct, frozen=True):
    """``name`` is whom the audit log names. ``csrf`` must come back with every form.

    ``read_only``: may not act at all, whatever a queue's policy says. ``visit`` is to be set as a cookie, if it is new.
    """

    name: str
    identity: Identity
    csrf: str = ""
    signed_in: bool = False
    read_only: bool = False
    visit: str = ""


class Session(msgspec.Struct, array_like=True):
    """What a session's cookie says."""

    access_key: str
    until: int
    nonce: str


class Visitors:
    """See the module. ``wall`` answers seconds since 1970; ``key`` is the server's own, kept in its store."""

    def __init__(
        self,
        config: DashboardConfig,
        credentials: Sequence[Credential],
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._config = config
        self._keys = BasicKeys(credentials)
        self._wall = wall
        self._failed: dict[str, deque[float]] = {}
        self.key = b""

    @property
    def open(self) -> bool:
        """Nobody has to sign in."""
        return not self.has_credentials and not self._config.proxy_header

    @property
    def has_credentials(self) -> bool:
        """There is something to sign in with."""
        return len(self._keys) > 0

    def of(self, request: Request, account: str) -> Visitor | None:
        """Who asks; None: somebody who has to sign in first. ``account`` is what an open server's page names."""
        jar = cookies.read(request.headers.get("cookie", ""))
        user = self._proxied(request)
        if user:
            return self._visitor(user, self._identity_of_proxy(user), f"proxy:{user}", jar, self._may_not_act(user))
        if self.open:
            identity = anyone(account if is_account(account) else DEFAULT_ACCOUNT, DEFAULT_REGION)
            return self._visitor("anyone", self._limited(identity), "open", jar, self._config.read_only)
        session = jar.get(SESSION, "")
        credential = self._session(session)
        if credential is not None:
            csrf = tokens.sign(self.key, "csrf", session.encode()[-64:])
            identity = self._limited(identity_of(credential, DEFAULT_REGION))
            name = credential.name or credential.access_key
            return Visitor(name, identity, csrf, signed_in=True, read_only=self._config.read_only)
        return self._basic(request)

    def admits(self, visitor: Visitor, token: str) -> bool:
        """Does a form come from a page that this visitor was shown?"""
        return bool(visitor.csrf) and hmac.compare_digest(visitor.csrf.encode(), token.encode())

    # Signing in ---------------------------------------------------------------------------------------

    def sign_in(self, access_key: str, secret_key: str, address: str) -> str | None:
        """The value of the session's cookie, or None if the two do not fit together. See ``blocked``."""
        credential = self._keys.proved(access_key, secret_key.encode())
        if credential is None:
            self._note_failure(address)
            return None
        self._failed.pop(address, None)
        until = int(self._wall() + self.session_seconds)
        content = msgspec.msgpack.encode(Session(credential.access_key, until, secrets.token_urlsafe(12)))
        return tokens.sign(self._key_of(credential), "session", content)

    def blocked(self, address: str) -> bool:
        """Has this address failed too often just now?"""
        failed = self._failed.get(address)
        if not failed:
            return False
        while failed and failed[0] < self._wall() - ATTEMPTS_SECONDS:
            failed.popleft()
        return len(failed) >= ATTEMPTS_MAX

    @property
    def session_seconds(self) -> int:
        return int(self._config.session_hours * HOUR_SECONDS)

    def _note_failure(self, address: str) -> None:
        if address not in self._failed and len(self._failed) >= ADDRESSES_MAX:
            self._failed.pop(next(iter(self._failed)))
        self._failed.setdefault(address, deque(maxlen=ATTEMPTS_MAX)).append(self._wall())

    def _session(self, token: str) -> Credential | None:
        content = tokens.content_of(token)
        if content is None:
            return None
        try:
            session = msgspec.msgpack.decode(content, type=Session)
        except msgspec.MsgspecError:
            return None
        credential = self._keys.find(session.access_key)
        if credential is None or tokens.verify(self._key_of(credential), "session", token) is None:
            return None
        return credential if session.until > self._wall() else None

    def _key_of(self, credential: Credential) -> bytes:
        return hmac.digest(self.key, credential.secret_key.encode(), "sha256")

    def _basic(self, request: Request) -> Visitor | None:
        authorization = request.headers.get("authorization", "")
        if not is_basic(authorization) or self.blocked(request.peer):
            return None
        credential = self._keys.of_header(authorization)
        if credential is None:
            self._note_failure(request.peer)
            return None
        identity = self._limited(identity_of(credential, DEFAULT_REGION))
        return Visitor(credential.name or credential.access_key, identity, read_only=True)

    # Others -------------------------------------------------------------------------------------------

    def _proxied(self, request: Request) -> str:
        header = self._config.proxy_header
        if not header or request.peer not in self._config.proxy_peers:
            return ""
        return request.headers.get(header.lower(), "").strip()[:100]

    def _visitor(self, name: str, identity: Identity, bound_to: str, jar: dict[str, str], read_only: bool) -> Visitor:
        """Somebody without a session: forms are bound to a cookie of their own."""
        visit = jar.get(VISIT, "")
        known = tokens.verify(self.key, "visit", visit) is not None
        if not known:
            visit = tokens.sign(self.key, "visit", secrets.token_bytes(16))
        csrf = tokens.sign(self.key, "csrf", f"{bound_to}:{visit[-43:]}".encode())
        return Visitor(name, identity, csrf, read_only=read_only, visit="" if known else visit)

    def _may_not_act(self, user: str) -> bool:
        return self._config.read_only or not self._config.is_operator(user)

    def _identity_of_proxy(self, user: str) -> Identity:
        identity = msgspec.structs.replace(anyone(self._config.proxy_account, DEFAULT_REGION), name=user)
        return limited_to_reads(identity) if self._may_not_act(user) else identity

    def _limited(self, identity: Identity) -> Identity:
        return limited_to_reads(identity) if self._config.read_only else identity


def limited_to_reads(identity: Identity) -> Identity:
    """The same person without the right to act. Patterns that name more than reading are dropped."""
    reads = READS if "*" in identity.actions else tuple(one for one in identity.actions if _reads(one))
    return msgspec.structs.replace(identity, actions=reads or ("-",), unlimited=False)


def _reads(pattern: str) -> bool:
    bare = pattern.partition(":")[2] or pattern
    return any(bare.lower().startswith(read.rstrip("*").lower()) for read in READS)
