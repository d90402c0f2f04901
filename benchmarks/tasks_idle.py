"""Workers that have nothing to do: how soon one begins a task that is sent, and how much memory it takes.

The time is from before the call that sends (durable when it returns) to the first line of the task; tasks come one at
a time, each a moment after the one before. Memory is read when all are done, of all processes of the worker.
"""

import statistics

from benchmarks.fetch import UnavailableError
from benchmarks.results import Figure, Result, console, figure, skipped
from benchmarks.run import Settings, VoidRunError
from benchmarks.tasks_contestants import OTHERS, TRACKED, UNTRACKED, Contestant
from benchmarks.tasks_run import Arena, Resident, resident, titled
from benchmarks.tasks_servers import Servers

SENDS, SENDS_QUICK = 300, 60
WARM_UP = 20
PAUSE_SECONDS = 0.02
ROUNDS, ROUNDS_QUICK = 3, 1
MEDIAN_BAR_MS, LATE_BAR_MS = 5.0, 20.0
MEMORY_BAR_MB = 60.0
TITLE = "An idle worker: from send (with fsync) to start, and resident memory"

Found = tuple[list[float], Resident]


def run(settings: Settings) -> Result:
    contestants = (UNTRACKED, TRACKED, *OTHERS)
    found: dict[Contestant, list[Found]] = {contestant: [] for contestant in contestants}
    missing: dict[Contestant, str] = {}
    with Servers(settings.scratch) as servers:
        arena = Arena(settings.scratch, servers)
        for number in range(ROUNDS_QUICK if settings.quick else ROUNDS):
            for contestant in contestants:
                try:
                    times, memory = measure(arena, contestant, SENDS_QUICK if settings.quick else SENDS)
                except (UnavailableError, VoidRunError) as error:
                    missing[contestant] = str(error)[-300:]
                    continue
                found[contestant].append((times, memory))
                _tell(number, contestant, times, memory)
    figures = [one for contestant, turns in found.items() if turns for one in _figures(contestant, turns)]
    figures += [skipped(f"fsync: {contestant.name}", "ms", why) for contestant, why in missing.items()]
    return Result(benchmark="tasks_idle", title=TITLE, figures=figures)


def measure(arena: Arena, contestant: Contestant, sends: int) -> Found:
    """Milliseconds from send to start, and the memory. Raises UnavailableError, VoidRunError."""
    with arena.bout(contestant, contestant.settings[0]) as bout, bout.worker() as pid:
        bout.send(contestant.one, WARM_UP, PAUSE_SECONDS)
        sent = bout.send(contestant.one, sends, PAUSE_SECONDS)
        started = sorted(bout.stamps())[WARM_UP:]
        times = [(begun - asked) / 1e6 for asked, begun in zip(sent.each, started, strict=True)]
        return sorted(times), resident(pid)


def _figures(contestant: Contestant, turns: list[Found]) -> list[Figure]:
    title, ours = titled(contestant), contestant.server == "encola"
    middles = [statistics.median(times) for times, _ in turns]
    lates = [_late(times) for times, _ in turns]
    sizes = [memory.total for _, memory in turns]
    median_bar, late_bar, memory_bar = (MEDIAN_BAR_MS, LATE_BAR_MS, MEMORY_BAR_MB) if ours else (None, None, None)
    processes = turns[0][1].processes
    detail = "" if processes == 1 else f"{processes} processes, the largest {turns[0][1].largest:.0f} MB"
    return [
        figure(f"fsync: {title}, send to start, p50", "ms", middles, bar=median_bar, at_least=False),
        figure(f"fsync: {title}, send to start, p99", "ms", lates, bar=late_bar, at_least=False),
        figure(f"{title}, resident", "MB", sizes, bar=memory_bar, at_least=False, detail=detail),
    ]


def _late(times: list[float]) -> float:
    return times[len(times) * 99 // 100]


def _tell(number: int, contestant: Contestant, times: list[float], memory: Resident) -> None:
    console.print(
        f"  round {number + 1}, {contestant.name}: p50 {statistics.median(times):.2f} ms, p99 {_late(times):.2f} ms,"
        f" {memory.total:.0f} MB in {memory.processes}",
        style="dim",
        highlight=False,
    )
