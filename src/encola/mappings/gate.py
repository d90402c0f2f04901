"""How many batches of one function may run at once, all its mappings together. Who came first passes first."""

import asyncio
from collections import deque


class Gate:
    """See the module; ``limit`` None lets everybody pass. Who entered must leave."""

    def __init__(self, limit: int | None) -> None:
        self.limit = limit
        self._inside = 0
        self._line: deque[asyncio.Future[None]] = deque()

    async def enter(self) -> None:
        """Waits until there is room. May be cancelled."""
        if self.enter_at_once():
            return
        turn = asyncio.get_running_loop().create_future()
        self._line.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave()  # the turn had come just before
            raise

    def enter_at_once(self) -> bool:
        """Passes if nobody has to wait; answers whether."""
        if self.limit is not None and self._inside >= self.limit:
            return False
        self._inside += 1
        return True

    async def enter_within(self, seconds: float) -> bool:
        """Passes if that is possible in time; answers whether."""
        if self.enter_at_once():
            return True
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self.enter()
        except TimeoutError:
            return False
        return True

    def leave(self) -> None:
        """Makes room for the next in line."""
        while self._line:
            turn = self._line.popleft()
            if not turn.done():
                turn.set_result(None)  # the place is handed on: nobody can slip in between
                return
        self._inside -= 1
