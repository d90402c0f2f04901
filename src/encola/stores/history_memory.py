"""The history in memory, for servers whose messages are in memory, too; and none at all."""

from collections.abc import Mapping, Sequence

from encola.engine.history import Documents, Resolution
from encola.engine.message import Instant


class MemoryHistory:
    """It says what a history does: the others must do the same."""

    def __init__(self) -> None:
        self._rings: dict[str, dict[Instant, dict[int, bytes]]] = {}

    async def open(self) -> None:
        """Nothing to do: there is no medium."""

    async def close(self) -> None:
        """Nothing to do: what was kept stays, as long as this object does."""

    async def append(self, resolution: Resolution, at: Instant, documents: Mapping[int, bytes]) -> None:
        ring = self._rings.setdefault(resolution.name, {})
        ring.setdefault(at, {}).update(documents)
        while (oldest := next(iter(ring))) < at - resolution.kept:
            del ring[oldest]

    async def read(
        self, resolution: Resolution, series: Sequence[int], since: Instant, until: Instant
    ) -> Mapping[int, Documents]:
        found: dict[int, list[tuple[Instant, bytes]]] = {}
        for at, documents in sorted(self._rings.get(resolution.name, {}).items()):
            if since <= at < until:
                for number in series:
                    if number in documents:
                        found.setdefault(number, []).append((at, documents[number]))
        return found

    async def forget(self, series: Sequence[int]) -> None:
        for ring in self._rings.values():
            for documents in ring.values():
                for number in series:
                    documents.pop(number, None)


class NoHistory:
    """Keeps nothing."""

    async def open(self) -> None: ...
    async def close(self) -> None: ...
    async def append(self, resolution: Resolution, at: Instant, documents: Mapping[int, bytes]) -> None: ...
    async def forget(self, series: Sequence[int]) -> None: ...

    async def read(
        self, resolution: Resolution, series: Sequence[int], since: Instant, until: Instant
    ) -> Mapping[int, Documents]:
        return {}
