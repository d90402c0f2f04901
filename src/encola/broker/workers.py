"""The workers that live, as they report themselves: by account, in memory only.

A restart of the server forgets them all, and knows them again as soon as they report, within seconds. Nothing depends
on it but what people and metrics see, and the wish that a worker stops.
"""

from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence

import msgspec

from encola.broker.clock import Clock
from encola.engine.message import Instant
from encola.engine.workers import (
    ALL_WORKERS_MAX,
    SILENCE_MAX,
    WORKERS_MAX,
    Orders,
    Report,
    Seen,
    idle_slots,
    on_clock,
)


class TooManyWorkersError(Exception):
    """There is no room for one more worker in the list; it works all the same."""


class Workers:
    """See the module. Who was silent for too long (``SILENCE_MAX``) is not there, whoever asks."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen: OrderedDict[tuple[str, str], Seen] = OrderedDict()  # by account and id; the longest silence first
        self._of_account: Counter[str] = Counter()

    def now(self) -> Instant:
        """The clock on which all instants of ``all`` are."""
        return self._clock.now()

    def report(self, account: str, report: Report) -> Orders:
        """Takes a worker's report, and answers what it is asked to do. Raises TooManyWorkersError."""
        now = self._forget_silent()
        key = account, report.id
        known = self._seen.get(key)
        stop = known is not None and known.stop_asked
        if report.state == "stopped":
            if known is not None:
                self._forget(key)
            return Orders(stop)
        if known is None:
            if self._of_account[account] >= WORKERS_MAX or len(self._seen) >= ALL_WORKERS_MAX:
                raise TooManyWorkersError
            self._of_account[account] += 1
        fields = msgspec.structs.asdict(on_clock(report, now))
        self._seen[key] = Seen(**fields, reported_at=now, stop_asked=stop)
        self._seen.move_to_end(key)
        return Orders(stop)

    def all(self, account: str) -> Sequence[Seen]:
        """The account's workers, by id."""
        self._forget_silent()
        return sorted((one for (of, _), one in self._seen.items() if of == account), key=lambda one: one.id)

    def stop(self, account: str, worker: str) -> bool:
        """Asks a worker to stop gently: it hears of it when it reports next. False if there is no such worker."""
        self._forget_silent()
        known = self._seen.get((account, worker))
        if known is None:
            return False
        self._seen[account, worker] = msgspec.structs.replace(known, stop_asked=True)  # its place stays the same
        return True

    def consumers(self, account: str, queue: str) -> tuple[int, int]:
        """Busy and idle slots of all workers for one queue. An idle slot may serve several queues."""
        return self.by_queue(account).get((account, queue), (0, 0))

    def by_queue(self, account: str | None = None) -> Mapping[tuple[str, str], tuple[int, int]]:
        """Busy and idle slots by account and queue, of one account or of all, in one pass.

        Names are as workers say them: there need not be such a queue.
        """
        self._forget_silent()
        found: dict[tuple[str, str], tuple[int, int]] = {}
        for (of, _), worker in self._seen.items():
            if account is not None and of != account:
                continue
            for served in worker.queues:
                key = of, served.queue
                busy, idle = found.get(key, (0, 0))
                found[key] = busy + served.busy, idle + idle_slots(worker, served)
        return found

    def _forget_silent(self) -> Instant:
        """Answers the time that it is."""
        now = self._clock.now()
        while self._seen:
            key, oldest = next(iter(self._seen.items()))
            if now - oldest.reported_at < SILENCE_MAX:
                break
            self._forget(key)
        return now

    def _forget(self, key: tuple[str, str]) -> None:
        del self._seen[key]
        self._of_account[key[0]] -= 1
        if not self._of_account[key[0]]:
            del self._of_account[key[0]]
