"""From the start of the process to ready, on an empty directory; and what an idle server takes of the memory."""

import time

from benchmarks.proc import resident_mb
from benchmarks.results import Result, figure
from benchmarks.run import Settings
from benchmarks.servers import encola, remove

READY_SECONDS_BAR = 0.5
RESIDENT_MB_BAR = 70
SETTLE_SECONDS = 1.0


def run(settings: Settings) -> Result:
    seconds, resident = [], []
    data = settings.scratch / "start"
    for _ in range(settings.rounds + 2):
        with encola(data) as server:
            seconds.append(server.ready_seconds)
            time.sleep(SETTLE_SECONDS)
            resident.append(resident_mb(server.pid))
        remove(data)
    del seconds[0]  # reads the program from the disk
    figures = [
        figure("start to ready on an empty directory", "s", seconds, bar=READY_SECONDS_BAR, at_least=False),
        figure("resident when idle", "MB", resident, bar=RESIDENT_MB_BAR, at_least=False),
    ]
    return Result(benchmark="start", title="Start, one core", figures=figures)
