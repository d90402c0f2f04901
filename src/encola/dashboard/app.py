"""The dashboard: a request for a page in, a page out.

    who asks (visitors) -> which page (routes) -> view -> twin -> HTML, JSON, or a stream of events
                                               -> act (after its form was proved to be ours) -> noted -> on to a page

The same address gives a page for people, its twin for scripts (``?format=json``, or ``Accept: application/json``), and
the stream that keeps an open page up to date (``?format=events``).
"""

import logging
import re
import secrets
from collections.abc import Mapping

import msgspec

from encola.broker.errors import QueueGoneError
from encola.dashboard import cookies
from encola.dashboard.assets import Assets
from encola.dashboard.config import is_base_path
from encola.dashboard.fields import FORM, Fields, FieldsError
from encola.dashboard.house import House
from encola.dashboard.links import UI, Links, without_base
from encola.dashboard.live import Live, TooManyViewersError
from encola.dashboard.page import Attachment, NotFound, Page, Refused, Visit
from encola.dashboard.render import Renderer
from encola.dashboard.routes import Route, Routes
from encola.dashboard.table import ROUTES
from encola.dashboard.views import sign_in
from encola.dashboard.views.problem import Problem
from encola.dashboard.visitors import SESSION, VISIT, Visitor
from encola.engine.store import StoreError
from encola.protocols.aws.credentials import DEFAULT_ACCOUNT, Identity
from encola.protocols.http.failures import log_failure
from encola.protocols.http.message import Request, Response
from encola.protocols.sqs.errors import SqsError

NOTE = "encola_note"
"""The cookie that carries what an act has to say to the page that comes after it."""

NOTE_LENGTH_MAX = 500
KEY_KIND, KEY_NAME, KEY_BYTES = "dashboard", "key", 32

SECURITY = (
    (
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
        " form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("X-Frame-Options", "DENY"),
)
_FRESH = (("Cache-Control", "no-store"), *SECURITY)
_HTML = (("Content-Type", "text/html; charset=utf-8"), *_FRESH)
_JSON = (("Content-Type", "application/json"), *_FRESH)
_EVENTS = (("Content-Type", "text/event-stream"), ("X-Accel-Buffering", "no"), *_FRESH)
_FILE_NAME = re.compile(r"[^A-Za-z0-9_.-]+")
_FOR_EVER = ("Cache-Control", "public, max-age=31536000, immutable")

_log = logging.getLogger("encola.dashboard")


class Dashboard:
    """See the module; ``handle`` is what the front calls for targets that are ours (``is_ours``)."""

    def __init__(self, house: House, public_url: str | None = None) -> None:
        self._house = house
        self._config = house.config
        self._secure = (public_url or "").startswith("https://")
        self._assets = Assets()
        self._render = Renderer(self._assets.version)
        self._routes = Routes(ROUTES)
        self.live = Live()

    async def open(self) -> None:
        """Reads the key that sessions and forms are signed with; makes one if there is none. Raises StoreError."""
        notes = await self._house.broker.notes(KEY_KIND)
        key = notes.get(KEY_NAME)
        if key is None:
            key = secrets.token_bytes(KEY_BYTES)
            await self._house.broker.keep(KEY_KIND, {KEY_NAME: key})
        self._house.visitors.key = key
        await self._house.audit.open()

    async def stop(self) -> None:
        """Ends the open pages' streams and what still runs for an operator."""
        await self.live.close()
        await self._house.works.close()

    # Requests -----------------------------------------------------------------------------------------

    async def handle(self, request: Request) -> Response:
        """Answers any request; raises nothing but cancellation."""
        base = self._base(request)
        path, _, query = without_base(request.target, self._config.base_path).partition("?")
        path = path.removeprefix(UI).strip("/")
        if path.startswith("static/"):
            return self._static(path, request)
        try:
            return await self._visit(request, base, path, Fields.parse(query))
        except FieldsError as error:
            return Response(400, f"{error}\n".encode(), (("Content-Type", "text/plain; charset=utf-8"), *_FRESH))

    async def _visit(self, request: Request, base: str, path: str, query: Fields) -> Response:
        visitor = self._house.visitors.of(request, query.text("account"))
        home = DEFAULT_ACCOUNT if self._house.visitors.open else (visitor.identity.account if visitor else "")
        account = visitor.identity.account if visitor else ""
        visit = Visit(self._house, visitor or NOBODY, request, Links(base, account, home), {}, query, Fields())
        try:
            if path in ("sign-in", "sign-out"):
                return await self._door(visit, path)
            if visitor is None:
                return self._to_sign_in(visit)
            found = self._routes.find(path)
            if found is None:
                raise NotFound("There is no such page.")
            route, visit.names = found
            if request.method == "POST":
                return await self._act(visit, route)
            if request.method not in ("GET", "HEAD"):
                raise Refused(f"{request.method[:20]} is not a way to ask for a page.", 405)
            return await self._show(visit, route)
        except Exception as error:
            return self._problem(visit, error)

    async def _show(self, visit: Visit, route: Route) -> Response:
        if route.view is None:
            raise NotFound("There is no such page.")
        wanted = visit.query.text("format")
        if wanted == "events" and route.beats:
            return await self._stream(visit, route)
        page = await route.view(visit)
        if page.attachment is not None:
            return self._attached(visit, page.attachment)
        if wanted == "json" or (not wanted and _wants_json(visit.request)):
            return self._answer(visit, page.status, msgspec.json.encode(page.twin) + b"\n", _JSON)
        return self._html(visit, page, *self._take_note(visit))

    async def _stream(self, visit: Visit, route: Route) -> Response:
        view = route.view
        assert view is not None  # noqa: S101 - the caller has looked
        await view(visit)  # what cannot be shown is refused now
        if visit.request.method == "HEAD":
            return Response(200, b"", _EVENTS)
        visit.live = True

        async def look() -> dict[str, str]:
            if self._house.visitors.of(visit.request, visit.account) is None:
                raise Refused("The session is over.", 401)
            page = await view(visit)
            found = {"page": self._render.live(page, visit)}
            series = getattr(page.twin, "series", None)
            if series is not None:
                found["series"] = msgspec.json.encode(series).decode()
            return found

        identity = visit.visitor.identity
        key = (visit.request.target, visit.links.base, identity, visit.visitor.read_only, visit.visitor.csrf)
        try:
            events = self.live.subscribe(key, look, route.beats)
        except TooManyViewersError:
            raise Refused("Too many pages are open.", 503) from None
        return Response(200, b"", _EVENTS, events)

    # Acts ---------------------------------------------------------------------------------------------

    async def _act(self, visit: Visit, route: Route) -> Response:
        if route.act is None:
            raise Refused("Nothing can be done here.", 405)
        visit.form = self._form(visit)
        try:
            if visit.visitor.read_only:
                raise Refused("You may look, but not act.", 403)
            done = await route.act(visit)
        except (Refused, SqsError, QueueGoneError) as error:
            return await self._refused(visit, route, error)
        location = done.location
        return self._answer(visit, 303, b"", (("Location", location), self._note("done", done.message, visit), *_FRESH))

    async def _refused(self, visit: Visit, route: Route, error: Exception) -> Response:
        """The page once more, with what was filled in and why it was refused."""
        status, message = _reason(error)
        await visit.note(route.path, "/".join(visit.names.values()), outcome=message)
        if route.view is not None and status != 404:
            try:
                page = await route.view(visit)
            except Refused:  # there is nothing to show: why the act was refused is what counts
                raise Refused(message, status) from None
            page.status = status
            return self._html(visit, page, "", message)
        back = visit.form.text("back")
        if back and visit.links.is_ours(back) and not _wants_json(visit.request):
            headers = (("Location", back), self._note("problem", message, visit), *_FRESH)
            return self._answer(visit, 303, b"", headers)
        raise Refused(message, status)

    def _form(self, visit: Visit) -> Fields:
        """The form, if it comes from a page that this visitor was shown. Raises Refused, FieldsError."""
        form = self._sent(visit.request)
        if not self._house.visitors.admits(visit.visitor, form.text("csrf")):
            raise Refused("This form is not valid any more. Load the page again, then repeat what you did.", 403)
        return form

    def _sent(self, request: Request) -> Fields:
        """A form that no page of another site has sent. Raises Refused, FieldsError."""
        if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            raise Refused("This form was sent by a page of another site.", 403)
        if not request.headers.get("content-type", "").startswith(FORM):
            raise Refused("A form is expected.", 415)
        return Fields.parse(request.body)

    async def _door(self, visit: Visit, path: str) -> Response:
        """Signing in and out: the only pages for those who are nobody yet."""
        visitors = self._house.visitors
        if path == "sign-out" and visit.request.method == "POST":
            visit.form = self._form(visit)
            headers = (("Location", visit.links.to("sign-in")), self._cookie(visit, SESSION, "", 0), *_FRESH)
            return self._answer(visit, 303, b"", headers)
        if path != "sign-in" or visitors.open:
            return self._answer(visit, 303, b"", (("Location", visit.links.overview()), *_FRESH))
        if visit.request.method != "POST":
            return self._html(visit, await sign_in.page(visit), *self._take_note(visit))
        visit.form = self._sent(visit.request)
        token, problem = await sign_in.act(visit)
        if token is None:
            page = await sign_in.page(visit)
            page.status = 429 if visitors.blocked(visit.request.peer) else 401
            return self._html(visit, page, "", problem)
        headers = (
            ("Location", sign_in.location(visit)),
            self._cookie(visit, SESSION, token, visitors.session_seconds),
            *_FRESH,
        )
        return self._answer(visit, 303, b"", headers)

    def _to_sign_in(self, visit: Visit) -> Response:
        if _wants_json(visit.request) or visit.query.text("format") in ("json", "events"):
            headers = (("WWW-Authenticate", 'Basic realm="encola", charset="UTF-8"'), *_JSON)
            return Response(401, b'{"problem":"Sign in first."}\n', headers)
        if self._house.config.proxy_header and not self._house.visitors.has_credentials:
            raise Refused("The proxy in front of this server names nobody.", 401)
        wanted = visit.links.base + visit.request.target.removeprefix(visit.links.base)
        location = visit.links.to("sign-in", next=wanted if visit.request.method == "GET" else None)
        return self._answer(visit, 303, b"", (("Location", location), *_FRESH))

    # Answers ------------------------------------------------------------------------------------------

    def _problem(self, visit: Visit, error: Exception) -> Response:
        status, message = _reason(error)
        if status == 500:
            log_failure(_log, "a page", error)
        page = Page("problem.html", "Not found" if status == 404 else "Problem", Problem(message), status=status)
        if _wants_json(visit.request) or visit.query.text("format"):
            return self._answer(visit, status, msgspec.json.encode(page.twin) + b"\n", _JSON)
        return self._html(visit, page)

    def _html(self, visit: Visit, page: Page, note: str = "", problem: str = "") -> Response:
        body = self._render.whole(page, visit, note, problem).encode("utf-8", "replace")
        headers: tuple[tuple[str, str], ...] = _HTML
        if NOTE in cookies.read(visit.request.headers.get("cookie", "")):
            headers = (self._cookie(visit, NOTE, "", 0), *headers)
        return self._answer(visit, page.status, body, headers)

    def _attached(self, visit: Visit, attachment: Attachment) -> Response:
        name = _FILE_NAME.sub("_", attachment.name)
        disposition = ("Content-Disposition", f'attachment; filename="{name}"')
        headers = (("Content-Type", "text/plain; charset=utf-8"), disposition, *_FRESH)
        return self._answer(visit, 200, attachment.content, headers)

    def _answer(self, visit: Visit, status: int, body: bytes, headers: tuple[tuple[str, str], ...]) -> Response:
        if visit.visitor.visit:
            headers = (self._cookie(visit, VISIT, visit.visitor.visit), *headers)
        return Response(status, body, headers)

    def _static(self, path: str, request: Request) -> Response:
        _, _, rest = path.partition("/")
        asset = self._assets.find(rest.rpartition("/")[2])
        if asset is None or request.method not in ("GET", "HEAD"):
            return Response(404, b"not found\n", (("Content-Type", "text/plain"), *SECURITY))
        packed = "gzip" in request.headers.get("accept-encoding", "")
        headers = (("Content-Type", asset.kind), _FOR_EVER, ("Vary", "Accept-Encoding"), *SECURITY)
        if packed:
            return Response(200, asset.packed, (("Content-Encoding", "gzip"), *headers))
        return Response(200, asset.plain, headers)

    # Notes and cookies --------------------------------------------------------------------------------

    def _note(self, kind: str, text: str, visit: Visit) -> tuple[str, str]:
        return self._cookie(visit, NOTE, f"{kind}:{text[:NOTE_LENGTH_MAX]}", 60)

    def _take_note(self, visit: Visit) -> tuple[str, str]:
        """What the last act had to say: (note, problem)."""
        kind, _, text = cookies.read(visit.request.headers.get("cookie", "")).get(NOTE, "").partition(":")
        return ("", text) if kind == "problem" else (text, "")

    def _cookie(self, visit: Visit, name: str, value: str, seconds: int | None = None) -> tuple[str, str]:
        request = visit.request
        secure = request.secure or self._secure or request.headers.get("x-forwarded-proto", "") == "https"
        return cookies.setting(name, value, path=visit.links.base or "/", secure=secure, seconds=seconds)

    def _base(self, request: Request) -> str:
        """Where the proxy shows us: as configured, else as it says (X-Forwarded-Prefix)."""
        base = self._config.base_path or request.headers.get("x-forwarded-prefix", "").rstrip("/")
        return base if is_base_path(base) else ""


NOBODY = Visitor("nobody", Identity("", "", "", "", "", "", (), (), unlimited=False), read_only=True)
"""Who has yet to sign in: may do nothing, and sees the door only."""


def is_ours(request: Request, base_path: str = "") -> bool:
    """Is it for the dashboard? Pages are below ``/ui``; the root is ours if a browser asks for it without an action."""
    path, _, query = without_base(request.target, base_path).partition("?")
    if path == UI or path.startswith(UI + "/"):
        return True
    return path == "/" and request.method in ("GET", "HEAD") and not _is_query_api(query, request.headers)


def _is_query_api(query: str, headers: Mapping[str, str]) -> bool:
    return "Action=" in query or "X-Amz-" in query or "x-amz-target" in headers or "x-amz-date" in headers


def _wants_json(request: Request) -> bool:
    accepted = request.headers.get("accept", "")
    return "application/json" in accepted and "text/html" not in accepted


def _reason(error: Exception) -> tuple[int, str]:
    """Status and text, for people, of what went wrong."""
    if isinstance(error, Refused):
        return error.status, error.message
    if isinstance(error, SqsError):
        return error.status, error.message
    if isinstance(error, QueueGoneError):
        return 404, "The queue is gone."
    if isinstance(error, StoreError):
        return 503, "The store does not answer now: nothing was changed. Try again later."
    if isinstance(error, FieldsError):
        return 400, f"The form cannot be read: {error}."
    return 500, "The page failed for a reason on our side; the server's log says more."
