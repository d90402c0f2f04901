"""What is told of the server besides what is sampled: its process, its disk, whether it is full."""

import os
import resource
import time
from pathlib import Path

from encola import __version__
from encola.metrics.families import Facts
from encola.metrics.sampler import Sampler
from encola.server.config import Config
from encola.server.health import Health

_STATM = Path("/proc/self/statm")
_PAGE_BYTES = resource.getpagesize()


class FactsOfServer:
    """Answers them when it is called."""

    def __init__(self, config: Config, health: Health, sampler: Sampler) -> None:
        self._data = config.store.data if config.store.kind == "sqlite" else None
        self._health = health
        self._sampler = sampler
        self._started = time.time()

    def __call__(self) -> Facts:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return Facts(
            __version__,
            self._started,
            self._health.full,
            _free_bytes(self._data),
            usage.ru_utime + usage.ru_stime,
            _resident_bytes(usage.ru_maxrss),
            self._sampler.history_dropped,
        )


def _free_bytes(data: Path | None) -> int:
    try:
        found = os.statvfs(data) if data is not None else None
    except OSError:
        found = None
    return found.f_bavail * found.f_frsize if found is not None else -1


def _resident_bytes(most_kib: int) -> int:
    """Where there is no /proc: the most that it ever was."""
    try:
        return int(_STATM.read_text().split()[1]) * _PAGE_BYTES
    except (OSError, IndexError, ValueError):
        return most_kib * 1024
