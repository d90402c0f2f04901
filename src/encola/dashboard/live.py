"""Live pages: an open page is told when what it shows has changed, as server-sent events.

Viewers of one page share its work: it is looked at once a beat, as long as anybody looks, and what was found is sent to
all of them if it differs from what they have. Whoever comes is shown what there is then, never what there was: he may
have acted just before. Events: ``page`` holds the page's live part as HTML, ``series`` the
last points of its charts as JSON. Source: HTML standard, "Server-sent events".
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable, Iterable

BEAT_SECONDS = 1.0
VIEWERS_MAX = 200
SILENCE_SECONDS = 15.0
"""After so long without news a comment is sent, so that proxies and browsers do not take the connection for dead."""

WAITING_MAX = 2
"""Events that wait for a viewer who does not read: of more, the older are dropped."""

RECONNECT_MILLISECONDS = 1000

Look = Callable[[], Awaitable[dict[str, str]]]
"""What there is to see now: the data of each event by its name."""

_log = logging.getLogger("encola.dashboard")


class TooManyViewersError(Exception):
    """So many pages are open already."""


class _Topic:
    """One page that is open, with those who look at it."""

    def __init__(self) -> None:
        self.viewers: set[asyncio.Queue[str | None]] = set()
        self.newcomers: set[asyncio.Queue[str | None]] = set()
        self.wake = asyncio.Event()
        self.seen: dict[str, str] = {}
        self.task: asyncio.Task[None] | None = None

    def tell(self, event: str | None, viewers: Iterable["asyncio.Queue[str | None]"] | None = None) -> None:
        """All of them, if not told whom."""
        for viewer in self.viewers if viewers is None else viewers:
            if viewer.full():
                viewer.get_nowait()
            viewer.put_nowait(event)


class Live:
    """See the module."""

    def __init__(self, beat_seconds: float = BEAT_SECONDS) -> None:
        self._beat = beat_seconds
        self._topics: dict[Hashable, _Topic] = {}
        self._closed = False

    @property
    def viewers(self) -> int:
        """Open pages."""
        return sum(len(topic.viewers) for topic in self._topics.values())

    def subscribe(self, key: Hashable, look: Look, beats: int = 1) -> AsyncGenerator[bytes, None]:
        """The events of a page. Who has the same ``key`` sees the same. Raises TooManyViewersError."""
        if self._closed or self.viewers >= VIEWERS_MAX:
            raise TooManyViewersError
        return self._events(key, look, beats)

    async def close(self) -> None:
        """Tells everybody that it is over."""
        self._closed = True
        tasks = [topic.task for topic in self._topics.values() if topic.task is not None]
        for topic in self._topics.values():
            topic.tell(None)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _events(self, key: Hashable, look: Look, beats: int) -> AsyncGenerator[bytes, None]:
        """Takes its place when it is first asked for an event, so that one that nobody reads holds none."""
        if self._closed:
            return
        viewer: asyncio.Queue[str | None] = asyncio.Queue(WAITING_MAX)
        topic = self._topics.get(key)
        if topic is None:
            topic = self._topics[key] = _Topic()
        topic.viewers.add(viewer)
        topic.newcomers.add(viewer)
        topic.wake.set()
        if topic.task is None:
            topic.task = asyncio.create_task(self._watch(key, topic, look, beats), name="dashboard")
        try:
            yield f"retry: {RECONNECT_MILLISECONDS}\n\n".encode()
            while True:
                try:
                    async with asyncio.timeout(SILENCE_SECONDS):
                        event = await viewer.get()
                except TimeoutError:
                    event = ":\n\n"
                if event is None:
                    return
                yield event.encode()
        finally:
            topic.viewers.discard(viewer)
            topic.newcomers.discard(viewer)

    async def _watch(self, key: Hashable, topic: _Topic, look: Look, beats: int) -> None:
        """Looks once a beat, and when somebody comes, until nobody is left."""
        try:
            while topic.viewers:
                topic.wake.clear()
                newcomers, topic.newcomers = topic.newcomers, set()
                try:
                    found = await look()
                except Exception as error:  # the page may come back: a queue is deleted and created again
                    _log.debug("a live page failed with %s", type(error).__name__)
                    found = {"gone": ""}
                events = {name: event(name, data) for name, data in found.items()}
                news = "".join(events[name] for name, data in found.items() if topic.seen.get(name) != data)
                topic.seen = found
                if news:
                    topic.tell(news, topic.viewers - newcomers)
                if events:
                    topic.tell("".join(events.values()), topic.viewers & newcomers)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._beat * beats):
                        await topic.wake.wait()
        finally:
            topic.task = None
            if self._topics.get(key) is topic:
                del self._topics[key]


def event(name: str, data: str) -> str:
    """One event in the wire format: each line of the data has its own field, and CR ends a line, too."""
    lines = "".join(f"data: {line}\n" for line in data.replace("\r\n", "\n").replace("\r", "\n").split("\n"))
    return f"event: {name}\n{lines}\n"
