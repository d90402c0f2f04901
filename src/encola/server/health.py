"""Is the server alive, and can it do its work? Asked by load balancers and orchestrators, without credentials.

Alive is who answers at all. Ready is who can make something durable: each look writes a note and waits for its fsync,
so that a full disk shows before a producer meets it. Looks are shared: nobody can make the disk busy by asking.
"""

import asyncio
import time
from collections.abc import Callable

import msgspec

from encola.engine.changes import Note
from encola.engine.store import Store, StoreError
from encola.protocols.http.message import Request, Response

PATHS = ("/health", "/health/live", "/health/ready")
LOOK_SECONDS_MAX = 5.0
LOOK_AGAIN_SECONDS = 1.0

_HEADERS = (("Content-Type", "application/json"), ("Cache-Control", "no-store"))
_NOTE = ("health", "probe")


class Health:
    """``facts`` answers what else is worth telling: version, connections."""

    def __init__(self, store: Store, facts: Callable[[], dict[str, str | int]]) -> None:
        self._store = store
        self._facts = facts
        self._started = time.monotonic()
        self._look: asyncio.Task[str] | None = None
        self._looked = float("-inf")
        self.stopping = False
        self.full = False  # the store refuses writes for want of room

    async def answer(self, request: Request) -> Response:
        """200 or 503, with a JSON object that says why."""
        facts = {**self._facts(), "uptime_seconds": int(time.monotonic() - self._started)}
        if request.target.partition("?")[0] == "/health/live":
            return _response(200, {"status": "live", **facts})
        problem = await self._problem()
        if problem:
            return _response(503, {"status": "not ready", "problem": problem, **facts})
        return _response(200, {"status": "ready", **facts})

    async def _problem(self) -> str:
        if self.stopping:
            return "the server is stopping"
        now = time.monotonic()
        if self._look is None or (self._look.done() and now - self._looked > LOOK_AGAIN_SECONDS):
            self._looked = now
            self._look = asyncio.create_task(self._write(), name="health")
        done, _ = await asyncio.wait([self._look], timeout=LOOK_SECONDS_MAX)
        if not done:
            return f"the store has not answered for {LOOK_SECONDS_MAX:.0f} s"
        return self._look.result() or ("the store refused the last write for want of room" if self.full else "")

    async def _write(self) -> str:
        try:
            await self._store.apply([Note(*_NOTE, b"")])
        except StoreError as error:
            return f"the store cannot write ({type(error).__name__})"
        return ""


def _response(status: int, facts: dict[str, str | int]) -> Response:
    return Response(status, msgspec.json.encode(facts) + b"\n", _HEADERS)
