"""Many who ask one by one, few requests: what arrives while one is under way goes together with the next.

Nobody waits for a batch to fill: the first goes at once. Further requests start beside it when there is enough for a
full one, or when somebody has waited for ``PATIENCE_SECONDS`` behind a slow one.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")

PATIENCE_SECONDS = 0.02


class Coalescer(Generic[Item, Answer]):
    """``flush`` answers for each item of one request, in order; it gets at most ``size``.

    At most ``parallel`` requests are under way. The order within a request is that of arrival. To be used in one event
    loop.
    """

    def __init__(
        self, flush: Callable[[Sequence[Item]], Awaitable[Sequence[Answer]]], size: int, parallel: int
    ) -> None:
        if size < 1 or parallel < 1:
            raise ValueError("size and parallel must be at least 1")
        self._flush = flush
        self._size = size
        self._parallel = parallel
        self._waiting: deque[tuple[Item, asyncio.Future[Answer]]] = deque()
        self._requests: set[asyncio.Task[None]] = set()
        self._starting = 0  # requests that were started and have not taken their items yet
        self._patience: asyncio.TimerHandle | None = None
        self._closed = False

    async def do(self, item: Item) -> Answer:
        """The answer for this item. Raises what ``flush`` raised; RuntimeError after ``close``."""
        if self._closed:
            raise RuntimeError("closed: nothing can be sent any more")
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        self._start()
        return await future

    async def close(self) -> None:
        """Waits until all that came before has its answer; nothing is taken any more."""
        self._closed = True
        while self._requests:
            await asyncio.wait(self._requests)
        if self._patience is not None:
            self._patience.cancel()

    def _start(self) -> None:
        """Starts as many requests as there shall be now."""
        while self._waiting and len(self._requests) < self._parallel:
            rest = len(self._waiting) - self._starting * self._size
            if self._requests and rest < self._size:
                break
            self._start_one()
        if self._waiting and self._patience is None and not self._starting:
            self._patience = asyncio.get_running_loop().call_later(PATIENCE_SECONDS, self._lose_patience)

    def _lose_patience(self) -> None:
        self._patience = None
        if self._waiting and not self._starting and len(self._requests) < self._parallel:
            self._start_one()

    def _start_one(self) -> None:
        # It takes its items when it runs: so those that arrive in the same turn of the loop go along.
        self._starting += 1
        request = asyncio.get_running_loop().create_task(self._run())
        self._requests.add(request)
        request.add_done_callback(self._ended)

    def _ended(self, request: asyncio.Task[None]) -> None:
        self._requests.discard(request)
        self._start()

    async def _run(self) -> None:
        self._starting -= 1
        taken = self._take()
        self._start()  # for those that did not fit in
        if not taken:
            return
        try:
            answers = await self._flush([item for item, _ in taken])
            if len(answers) != len(taken):
                raise RuntimeError(f"{len(answers)} answers for {len(taken)} items")
        except asyncio.CancelledError:
            for _, future in taken:
                future.cancel()
            raise
        except Exception as error:
            for _, future in taken:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), answer in zip(taken, answers, strict=True):
            if not future.done():  # who asked may have gone away
                future.set_result(answer)

    def _take(self) -> list[tuple[Item, asyncio.Future[Answer]]]:
        """The next items of those that somebody still waits for."""
        taken: list[tuple[Item, asyncio.Future[Answer]]] = []
        while self._waiting and len(taken) < self._size:
            item, future = self._waiting.popleft()
            if not future.done():
                taken.append((item, future))
        return taken
