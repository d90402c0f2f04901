"""What a page is: a twin that scripts read, and a template that shows it to people.

A view is ``async def page(visit) -> Page``; an act is ``async def act(visit) -> Done``, and raises Refused. Both get a
``Visit``: one request with all that it may need. What a view finds goes into the twin, a struct that is also the page's
JSON; the template reads the twin and, for forms, what was filled in.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import msgspec

from encola.dashboard.audit import Entry
from encola.dashboard.fields import Fields
from encola.dashboard.links import Links
from encola.dashboard.visitors import Visitor
from encola.engine.queue import Address, Queue
from encola.protocols.http.message import Request
from encola.protocols.sqs.desk import Call
from encola.protocols.sqs.errors import SqsError

if TYPE_CHECKING:
    from encola.dashboard.house import House


class Refused(Exception):  # noqa: N818 - it is an answer, not a failure
    """The act cannot be done, and nothing was done of it; the text says why, for people."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


class NotFound(Refused):
    """There is no such page, queue or job."""

    def __init__(self, message: str) -> None:
        super().__init__(message, 404)


class Attachment(msgspec.Struct):
    """What the browser is to keep as a file, and never to show: a text, whatever is in it."""

    name: str
    content: bytes


class Page(msgspec.Struct):
    """``template`` is a file of ``templates``; ``more`` is for the template only, and not part of the twin.

    An ``attachment`` is answered in place of the page.
    """

    template: str
    title: str
    twin: msgspec.Struct
    more: dict[str, Any] = {}
    status: int = 200
    attachment: Attachment | None = None


class Done(msgspec.Struct):
    """The act is done; the browser goes on to ``location`` and shows ``message`` there."""

    message: str
    location: str


class Visit(msgspec.Struct):
    """One request for a page. ``names`` are those in the page's path; ``form`` is empty unless something is sent."""

    house: "House"
    visitor: Visitor
    request: Request
    links: Links
    names: Mapping[str, str]
    query: Fields
    form: Fields
    live: bool = False  # asked again and again, by an open page: charts need their last points only

    @property
    def account(self) -> str:
        return self.visitor.identity.account

    @property
    def call(self) -> Call:
        """The request as the operations of SQS want it."""
        return self.house.desk.call(self.visitor.identity, self.request)

    @property
    def origin(self) -> str:
        """Where this server is reached, as the visitor sees it."""
        return self.call.url(Address("x", "x")).removesuffix("/x/x")

    def here(self, **changes: object) -> str:
        """This page's address with other fields in its query; None leaves one out."""
        path = self.request.target.partition("?")[0]
        path = path if self.links.base and path.startswith(self.links.base) else self.links.base + path
        asked: dict[str, object] = {**self.query.lists(), "format": None, **changes}
        asked = {name: value for name, value in asked.items() if value not in (None, "", [""])}
        return f"{path}?{urlencode(asked, doseq=True)}" if asked else path

    async def note(self, what: str, on: str, detail: str = "", outcome: str = "done") -> None:
        """Notes an act in the audit log: ``what`` in the API's words, ``on`` what. Durable on return."""
        now = self.house.broker.clock.now()
        who, address = self.visitor.name, self.request.peer
        await self.house.audit.note(Entry(now, self.account, who, address, what, on, detail, outcome))

    def may(self, action: str, queue: Queue | None = None) -> bool:
        """Is the visitor allowed to do it, on this queue or on none in particular? For what a page offers."""
        visitor = self.visitor
        if visitor.read_only and not action.startswith(("Get", "List", "Find", "Peek")):
            return False
        if queue is None:
            return visitor.identity.allows(action, "")
        return self.house.desk.permits(self.call, queue.address, action)

    def queue(self, action: str = "GetQueueAttributes") -> Queue:
        """The queue that the page's path names, if the visitor may do ``action`` on it. Raises NotFound, Refused."""
        return self.queue_named(self.names["queue"], action)

    def queue_named(self, name: str, action: str = "GetQueueAttributes") -> Queue:
        """Raises NotFound; Refused if the visitor may not do ``action`` on it."""
        queue = self.house.broker.find(Address(self.account, name))
        if queue is None:
            raise NotFound(f"There is no queue called {name[:100]}.")
        self.check(action, queue)
        return queue

    def check(self, action: str, queue: Queue | None = None) -> None:
        """Raises Refused if the visitor may not do it."""
        if self.visitor.read_only and not self.may(action, queue):
            raise Refused("You may look, but not act.", 403)
        try:
            if queue is None:
                self.house.desk.access.check_unbound(self.visitor.identity, action)
            else:
                self.house.desk.access.check(self.visitor.identity, self.request, queue, action)
        except SqsError as error:
            raise Refused(error.message, 403) from None


View = Callable[[Visit], Awaitable[Page]]
Act = Callable[[Visit], Awaitable[Done]]
