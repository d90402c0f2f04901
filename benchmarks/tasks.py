"""Tasks that do nothing, enqueued and run: encola's worker beside other frameworks' workers on their brokers.

One worker process; the producer is a second process, the broker a third; they share all cores. Each framework takes
its best setting of some (``tasks_contestants``; the trial comes first), and takes turns with encola. Three rates:

- end to end: from the first enqueue to the beginning of the last task, while the worker runs;
- enqueue: without a worker;
- run: a worker starts on what was enqueued; from its first task to its last.
"""

import statistics
from typing import NamedTuple

from benchmarks.fetch import UnavailableError
from benchmarks.results import Figure, Result, console, figure, skipped
from benchmarks.run import Settings, VoidRunError
from benchmarks.tasks_contestants import OTHERS, TRACKED, UNTRACKED, Contestant, Setting
from benchmarks.tasks_run import NANO, Arena, titled
from benchmarks.tasks_servers import Servers

WARM_UP = 20
"""One task in so many is run before, so that everything is connected and imported."""

ROUNDS, ROUNDS_QUICK = 5, 1
BAR = 2.0
TITLE = "Tasks that do nothing, one worker process; fsync of each enqueue, acknowledged after the task"


class Rates(NamedTuple):
    """Tasks a second."""

    end_to_end: float
    enqueue: float
    run: float


class Pair(NamedTuple):
    """A framework and encola without records, one right after the other."""

    theirs: Rates
    ours: Rates


def run(settings: Settings) -> Result:
    fewer = 4 if settings.quick else 1
    figures: list[Figure] = []
    pairs: dict[Contestant, list[Pair]] = {}
    with Servers(settings.scratch) as servers:
        arena = Arena(settings.scratch, servers)
        chosen = {ours: best(arena, ours, fewer) for ours in (UNTRACKED, TRACKED)}
        for contestant in OTHERS:
            try:
                chosen[contestant] = best(arena, contestant, fewer)
            except (UnavailableError, VoidRunError) as error:
                figures.append(skipped(f"fsync: {contestant.name}", "tasks/s", str(error)[-300:]))
        pairs = {contestant: [] for contestant in chosen if contestant is not UNTRACKED}
        for number in range(ROUNDS_QUICK if settings.quick else ROUNDS):
            for contestant in pairs:
                ours = measure(arena, UNTRACKED, chosen[UNTRACKED], UNTRACKED.tasks // fewer)
                theirs = measure(arena, contestant, chosen[contestant], contestant.tasks // fewer)
                pairs[contestant].append(Pair(theirs, ours))
                _tell(f"round {number + 1}, {contestant.name}", theirs, ours)
    return Result(benchmark="tasks", title=TITLE, figures=[*figures_of(pairs, chosen), *figures])


def best(arena: Arena, contestant: Contestant, fewer: int) -> Setting:
    """The setting that is quickest end to end in a trial. Raises UnavailableError, VoidRunError."""
    if len(contestant.settings) == 1:
        return contestant.settings[0]
    rates = {}
    for setting in contestant.settings:
        found = measure(arena, contestant, setting, contestant.tasks // (2 * fewer))
        _tell(f"trial, {contestant.name}, {setting.name}", found)
        rates[setting.name] = found.end_to_end
    return max(contestant.settings, key=lambda setting: rates[setting.name])


def measure(arena: Arena, contestant: Contestant, setting: Setting, tasks: int) -> Rates:
    """Raises UnavailableError, VoidRunError."""
    with arena.bout(contestant, setting) as bout:
        with bout.worker():
            bout.send(setting.sender, max(1, tasks // WARM_UP))
            bout.wait()
            bout.begin(setting.sender, tasks)
            bout.wait()
            end_to_end = tasks / ((max(bout.stamps()) - bout.finish().begun) * NANO)
        before = bout.sent
        sent = bout.send(setting.sender, tasks)
        enqueue = tasks / ((sent.ended - sent.begun) * NANO)
        with bout.worker():
            bout.wait()
        stamps = bout.stamps()[before:]
        return Rates(end_to_end, enqueue, (tasks - 1) / ((max(stamps) - min(stamps)) * NANO))


def figures_of(pairs: dict[Contestant, list[Pair]], chosen: dict[Contestant, Setting]) -> list[Figure]:
    """The rates of all; encola's over each, end to end; and over the best, which has the bar."""
    ours = [pair.ours for turns in pairs.values() for pair in turns]
    told = _rates(UNTRACKED, chosen[UNTRACKED], ours)
    ratios: list[Figure] = []
    for contestant, turns in pairs.items():
        told += _rates(contestant, chosen[contestant], [pair.theirs for pair in turns])
        if contestant is not TRACKED:
            over = [pair.ours.end_to_end / pair.theirs.end_to_end for pair in turns]
            runs = statistics.median(pair.ours.run / pair.theirs.run for pair in turns)
            detail = f"run alone {runs:.2f} times"
            ratios.append(figure(f"fsync: encola over {titled(contestant)}", "times", over, detail=detail))
    if not ratios:
        return told
    closest = min(ratios, key=lambda one: one.value or 0.0)
    name = f"fsync: encola over the best of them ({closest.name.partition(' over ')[2]})"
    return [figure(name, "times", closest.samples, bar=BAR), *ratios, *told]


def _rates(contestant: Contestant, setting: Setting, found: list[Rates]) -> list[Figure]:
    enqueue = statistics.median(one.enqueue for one in found)
    alone = statistics.median(one.run for one in found)
    detail = f"enqueue {enqueue:,.0f}/s, run {alone:,.0f}/s; {setting.name}"
    return [figure(f"fsync: {titled(contestant)}", "tasks/s", [one.end_to_end for one in found], detail=detail)]


def _tell(what: str, rates: Rates, ours: Rates | None = None) -> None:
    beside = f"; beside it encola {_words(ours)}" if ours else ""
    console.print(f"  {what}: {_words(rates)}{beside}", style="dim", highlight=False)


def _words(rates: Rates) -> str:
    return f"end to end {rates.end_to_end:,.0f}/s, enqueue {rates.enqueue:,.0f}/s, run {rates.run:,.0f}/s"
