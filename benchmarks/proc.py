"""What the kernel tells of a process: processor time and resident memory (Linux)."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
SERVER_CORE = 0
LOAD_CORE = 1


def cpu_seconds(pid: int) -> float:
    """Processor time of all threads of a process since its start, to a hundredth."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_A_SECOND


def pin(core: int, pid: int = 0) -> None:
    """Binds a process (0: this one) to one core, where there are enough of them."""
    if core in os.sched_getaffinity(0):
        os.sched_setaffinity(pid, {core})


def resident_peak_mb(pid: int) -> float:
    """VmHWM, the most that was ever resident, in MB (10**6 bytes)."""
    return _status_mb(pid, "VmHWM:")


def resident_mb(pid: int) -> float:
    """VmRSS in MB (10**6 bytes)."""
    return _status_mb(pid, "VmRSS:")


def family(pid: int) -> list[int]:
    """A process and those that descend from it."""
    found = [pid]
    for member in found:  # which grows on the way
        for children in Path(f"/proc/{member}/task").glob("*/children"):
            found += map(int, children.read_text().split())
    return found


def _status_mb(pid: int, name: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024 / 1e6
    raise ProcessLookupError(pid)


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """Binds this process to one core for a while."""
    before = os.sched_getaffinity(0)
    pin(core)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
