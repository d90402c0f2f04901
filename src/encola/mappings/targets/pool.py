"""The targets of all functions: one each, made when it is first needed.

The libraries of a kind are loaded with its first target: a server without pushed functions does not pay for them.
"""

import asyncio
from typing import TYPE_CHECKING

from encola.mappings.functions import DeclaredFunction, Reference, kind_of
from encola.mappings.targets.target import Target

if TYPE_CHECKING:
    import aiohttp


class Targets:
    """See the module."""

    def __init__(self) -> None:
        self._targets: dict[Reference, Target] = {}
        self._sessions: dict[bool, aiohttp.ClientSession] = {}  # by whether connections are kept

    def get(self, reference: Reference, function: DeclaredFunction) -> Target:
        """The one target of a function."""
        target = self._targets.get(reference)
        if target is None:
            target = self._targets[reference] = self._made(function)
        return target

    async def forget(self, reference: Reference) -> None:
        """Nobody uses the function any more: its processes end."""
        target = self._targets.pop(reference, None)
        if target is not None:
            await target.close()

    async def close(self) -> None:
        """Ends all processes and connections."""
        await asyncio.gather(*(target.close() for target in self._targets.values()))
        await asyncio.gather(*(session.close() for session in self._sessions.values()))

    def _made(self, function: DeclaredFunction) -> Target:
        kind = kind_of(function.target)
        if kind == "python":
            from encola.mappings.targets.python import PythonTarget

            return PythonTarget(function)
        if kind == "aws":
            from encola.mappings.targets.invoke import InvokeTarget

            return InvokeTarget(function, self._session(kept=True))
        from encola.mappings.targets.http import HttpTarget

        return HttpTarget(function, self._session(kept=False))

    def _session(self, *, kept: bool) -> "aiohttp.ClientSession":
        """The session whose connections are kept for further requests, or the one whose are not."""
        import aiohttp

        session = self._sessions.get(kept)
        if session is None:
            connector = aiohttp.TCPConnector(limit=0, force_close=not kept)
            session = self._sessions[kept] = aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar()
            )
        return session
