"""Counters of tasks: what they count, and in which registry."""

import asyncio
import importlib
import sys
from typing import Any

import pytest
from prometheus_client import REGISTRY, CollectorRegistry

import encola
from encola.prometheus import Counters
from encola.testing import Inline


class Counted:
    """A registry, and what it holds."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()

    def __call__(self, name: str, **labels: Any) -> float | None:
        return self.registry.get_sample_value(name, labels)


@pytest.fixture
def counted() -> Counted:
    return Counted()


@pytest.fixture
def app(counted: Counted) -> encola.App:
    return encola.App("counted", middleware=[Counters(counted.registry)])


def test_attempts_are_counted_by_what_came_of_them(app: encola.App, counted: Counted) -> None:
    @app.task(queue="q", retries=1)
    def work(how: str) -> None:
        if how == "fail":
            raise ValueError(how)

    with Inline(app) as run:
        work.send("well")
        work.send("well")
        work.send("fail")
        run.advance(hours=1)
    told = {
        outcome: counted("encola_task_attempts_total", task="work", queue="q", outcome=outcome)
        for outcome in ("completed", "retrying", "dead", "replayed")
    }
    assert told == {"completed": 2, "retrying": 1, "dead": 1, "replayed": None}
    assert counted("encola_messages_sent_total", task="work") == 3
    assert counted("encola_task_seconds_count", task="work") == 4
    assert counted("encola_task_running", task="work") == 0


def test_what_was_not_run_has_an_outcome_and_no_duration(app: encola.App, counted: Counted) -> None:
    @app.task(queue="q", key="one")
    def work() -> None: ...

    with Inline(app) as run:
        work.send()
        work.send()
        run.until_idle()
    assert counted("encola_task_attempts_total", task="work", queue="q", outcome="replayed") == 1
    assert counted("encola_task_seconds_count", task="work") == 1


def test_what_runs_now_is_counted_while_it_runs(app: encola.App, counted: Counted) -> None:
    seen: list[float | None] = []

    @app.task(queue="q", retries=0)
    async def work() -> None:
        await asyncio.sleep(5)
        seen.append(counted("encola_task_running", task="work"))
        raise ValueError("over")

    with Inline(app) as run:
        work.send()
        run.advance(minutes=1)
    assert seen == [1]
    assert counted("encola_task_running", task="work") == 0


def test_steps_of_a_chain_count_as_sent_like_others(app: encola.App, counted: Counted) -> None:
    @app.task(queue="q")
    def first() -> int:
        return 1

    @app.task(queue="q")
    def second(n: int) -> int:
        return n

    with Inline(app) as run:
        encola.chain(first.s(), second.s()).send()
        run.until_idle()
    assert counted("encola_messages_sent_total", task="second") == 1


def test_a_call_of_a_batch_is_one_attempt_and_its_messages_are_counted_beside(
    app: encola.App, counted: Counted
) -> None:
    @app.batch(queue="b", size=10)
    def store(items: list[int]) -> None: ...

    with Inline(app) as run:
        store.send_many([(1,), (2,), (3,)])
        run.until_idle()
    assert counted("encola_task_attempts_total", task="store", queue="b", outcome="completed") == 1
    assert counted("encola_batch_messages_total", task="store") == 3


def test_applications_with_one_registry_count_together(counted: Counted) -> None:
    """A second application in a process is no error, and neither is one that is made anew by a test."""
    for name in ("one", "two"):
        app = encola.App(name, middleware=[Counters(counted.registry)])

        @app.task(queue="q", name="work")
        def work() -> None: ...

        with Inline(app) as run:
            work.send()
            run.until_idle()
    assert counted("encola_messages_sent_total", task="work") == 2


def test_the_default_registry_is_that_of_the_client() -> None:
    assert Counters().registry is REGISTRY
    assert Counters().registry is REGISTRY
    assert "encola_task_running" in {metric.name for metric in REGISTRY.collect()}


def test_the_extra_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    monkeypatch.delitem(sys.modules, "encola.prometheus")
    with pytest.raises(ImportError, match=r"pip install 'encola\[prometheus\]'"):
        importlib.import_module("encola.prometheus")
