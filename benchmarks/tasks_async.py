"""Asynchronous tasks of 10 ms at concurrency 100 in one worker process: which share of 10,000 a second it reaches.

The queue is filled first; then a worker starts. Measured from its first task to its last; the first hundred begin with
nobody before them, and do not count.
"""

from benchmarks.fetch import UnavailableError
from benchmarks.results import Figure, Result, console, figure, skipped
from benchmarks.run import Settings, VoidRunError
from benchmarks.tasks_contestants import WAITING, Contestant, Setting
from benchmarks.tasks_run import NANO, Arena, titled
from benchmarks.tasks_servers import Servers

CONCURRENCY = 100
PAUSE_SECONDS = 0.01
IDEAL = CONCURRENCY / PAUSE_SECONDS
ROUNDS, ROUNDS_QUICK = 5, 1
BAR = 0.8
TITLE = "Asynchronous tasks of 10 ms, concurrency 100, one worker process; fsync"


def run(settings: Settings) -> Result:
    fewer = 4 if settings.quick else 1
    entries = [(contestant, setting) for contestant in WAITING for setting in contestant.settings]
    shares: dict[tuple[Contestant, Setting], list[float]] = {entry: [] for entry in entries}
    missing: dict[str, str] = {}
    with Servers(settings.scratch) as servers:
        arena = Arena(settings.scratch, servers)
        for number in range(ROUNDS_QUICK if settings.quick else ROUNDS):
            for contestant, setting in entries:
                try:
                    share = measure(arena, contestant, setting, contestant.tasks // fewer)
                except (UnavailableError, VoidRunError) as error:
                    missing[contestant.name] = str(error)[-300:]
                    continue
                shares[contestant, setting].append(share)
                console.print(f"  round {number + 1}, {contestant.name}, {setting.name}: {share:.3f}", style="dim")
    figures = [_figure(*entry, found) for entry, found in shares.items() if found]
    figures += [skipped(f"fsync: {name}", "of the ideal", why) for name, why in missing.items()]
    return Result(benchmark="tasks_async", title=TITLE, figures=figures)


def measure(arena: Arena, contestant: Contestant, setting: Setting, tasks: int) -> float:
    """The share of the ideal rate. Raises UnavailableError, VoidRunError."""
    with arena.bout(contestant, setting) as bout:
        bout.send(setting.sender, tasks)
        with bout.worker():
            bout.wait()
        stamps = bout.stamps()
        return (tasks - CONCURRENCY) / ((max(stamps) - min(stamps)) * NANO) / IDEAL


def _figure(contestant: Contestant, setting: Setting, shares: list[float]) -> Figure:
    bar = BAR if contestant.server == "encola" else None
    return figure(f"fsync: {titled(contestant)}", "of the ideal", shares, bar=bar, detail=setting.name)
