"""The task benchmarks: what they count, with encola itself; and that a peer that is not there is only left out."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmarks.fetch import UnavailableError
from benchmarks.results import Figure
from benchmarks.run import VoidRunError
from benchmarks.tasks_contestants import OTHERS, TRACKED, UNTRACKED, WAITING, Contestant
from benchmarks.tasks_run import Arena
from benchmarks.tasks_servers import Servers

from benchmarks import tasks, tasks_async, tasks_idle, tasks_servers

EVERYBODY = (UNTRACKED, TRACKED, *OTHERS, *WAITING)
TASKS = 200
DELAYED = 5


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    scratch = tmp_path_factory.mktemp("tasks")
    with Servers(scratch) as servers:
        yield Arena(scratch, servers)


def test_a_bout_counts_each_task_once_with_a_worker_and_without(arena: Arena) -> None:
    rates = tasks.measure(arena, UNTRACKED, UNTRACKED.settings[0], TASKS)
    assert all(rate > 0 for rate in rates)


def test_a_share_of_the_ideal_rate_is_between_nothing_and_all(arena: Arena) -> None:
    contestant = WAITING[0]
    assert 0 < tasks_async.measure(arena, contestant, contestant.settings[0], TASKS) <= 1


def test_an_idle_worker_tells_a_time_for_each_send_and_its_memory(arena: Arena) -> None:
    times, memory = tasks_idle.measure(arena, TRACKED, DELAYED)
    assert len(times) == DELAYED
    assert all(time > 0 for time in times)
    assert memory.largest <= memory.total
    assert memory.processes == 1


def test_a_bout_is_void_when_a_task_did_not_run(arena: Arena) -> None:
    setting = UNTRACKED.settings[0]
    with pytest.raises(VoidRunError, match="0 tasks ran, 3 were sent"), arena.bout(UNTRACKED, setting) as bout:
        bout.send(setting.sender, 3)


def test_a_server_that_is_not_installed_is_told_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(tasks_servers, "RABBITMQ_PROGRAM", tmp_path / "rabbitmq-server")
    with Servers(tmp_path) as servers:
        for name in ("Redis", "Redis", "RabbitMQ"):
            with pytest.raises(UnavailableError, match="not installed"):
                servers.environment(name)


def test_the_bar_is_held_against_the_best_of_the_peers() -> None:
    # given encola at 300, and peers at 100 and 200
    ours, slow, quick = (tasks.Rates(rate, rate, rate) for rate in (300.0, 100.0, 200.0))
    pairs = {OTHERS[0]: [tasks.Pair(slow, ours)], OTHERS[2]: [tasks.Pair(quick, ours)]}
    chosen = {contestant: contestant.settings[0] for contestant in (UNTRACKED, *pairs)}
    # when the figures are made
    figures = tasks.figures_of(pairs, chosen)
    # then only the ratio to the quick one has a bar, and it is missed
    barred: list[Figure] = [figure for figure in figures if figure.bar is not None]
    assert [(figure.value, figure.verdict) for figure in barred] == [(1.5, "MISS")]
    assert "Dramatiq" in barred[0].name


@pytest.mark.parametrize("contestant", EVERYBODY, ids=lambda one: one.name)
def test_a_setting_names_a_sender_that_its_module_has(contestant: Contestant) -> None:
    source = Path(tasks.__file__).parent / "task_peers" / f"{contestant.module}.py"
    (senders,) = (
        statement.value
        for statement in ast.parse(source.read_text()).body
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "SENDERS"
    )
    assert isinstance(senders, ast.Dict)
    names = {ast.literal_eval(key) for key in senders.keys if key is not None}
    assert {setting.sender for setting in contestant.settings} <= names
