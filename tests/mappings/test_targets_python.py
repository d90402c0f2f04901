"""Python functions in processes: what they get, what they may return, and how they end."""

import asyncio
import json
import logging
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from encola.mappings.targets.python import PythonTarget
from encola.mappings.targets.target import Answer, Failed, Invocation, Refused, Returned

from .samples import function

HERE = str(Path(__file__).parent)


@pytest.fixture
async def make() -> AsyncIterator[Any]:
    targets: list[PythonTarget] = []

    def new(name: str, **declared: Any) -> PythonTarget:
        target = PythonTarget(function(target=f"python:{name}", directory=HERE, **declared))
        targets.append(target)
        return target

    yield new
    for target in targets:
        await target.close()


async def call(target: PythonTarget, event: Any = None) -> Answer:
    return await target.invoke(Invocation("i-1", json.dumps(event).encode(), "arn:f"))


async def result(target: PythonTarget, event: Any = None) -> Any:
    answer = await call(target, event)
    assert isinstance(answer, Returned), answer
    return json.loads(answer.payload)


async def test_a_function_gets_the_event_and_a_context(make: Any) -> None:
    found = await result(make("reports:echo", timeout=20), {"Records": ["é"]})
    left = found.pop("left")
    assert 0 < left <= 20_000
    assert found == {"event": {"Records": ["é"]}, "id": "i-1", "arn": "arn:f", "name": "f"}


async def test_one_process_serves_many_invocations_one_at_a_time(make: Any) -> None:
    target = make("reports:count")
    answers = [await result(target) for _ in range(3)]
    assert [number for _, number in answers] == [1, 2, 3]
    assert target.pids == [answers[0][0]]


async def test_invocations_at_the_same_time_have_a_process_each(make: Any) -> None:
    target = make("reports:count")
    answers = await asyncio.gather(*(result(target) for _ in range(3)))
    assert len({pid for pid, _ in answers}) == 3
    assert target.pids == sorted(pid for pid, _ in answers)


async def test_coroutine_functions_share_the_loop_of_their_process(make: Any) -> None:
    target = make("reports:later")
    assert await result(target) == await result(target)


@pytest.mark.parametrize(
    ("what", "problem"),
    [
        ("raise", "ValueError: no such month"),
        ("object", "Runtime.MarshalError: Object of type object is not JSON serializable"),
    ],
)
async def test_an_exception_is_a_failure_and_the_process_lives_on(make: Any, what: str, problem: str) -> None:
    target = make("reports:do")
    before = await result(target, {"do": "nothing"})
    assert await call(target, {"do": what}) == Failed(problem)
    assert await result(target, {"do": "nothing"}) == before


@pytest.mark.parametrize(
    ("what", "problem"),
    [
        ("exit", "Runtime.ExitError: 7"),
        ("die", "the process ended while the function ran (signal SIGKILL)"),
        ("leave", "the process ended while the function ran (exit status 9)"),
        ("large", "the response is longer than 6291456 bytes"),
    ],
)
async def test_a_process_that_ends_is_a_failure_and_replaced(make: Any, what: str, problem: str) -> None:
    target = make("reports:do")
    before = await result(target, {"do": "nothing"})
    assert await call(target, {"do": what}) == Failed(problem)
    after = await result(target, {"do": "nothing"})
    assert after != before
    assert target.pids == [after]


async def test_a_process_that_ended_between_two_invocations_costs_none(make: Any) -> None:
    target = make("reports:do")
    before = await result(target, {"do": "nothing"})
    os.kill(before, signal.SIGKILL)
    assert await result(target, {"do": "nothing"}) != before


async def test_a_function_that_takes_too_long_is_ended_with_its_process(make: Any) -> None:
    target = make("reports:do", timeout=1)
    before = await result(target, {"do": "nothing"})
    assert await call(target, {"do": "sleep"}) == Failed("timed out after 1 seconds; the process was ended")
    with pytest.raises(ProcessLookupError):
        os.kill(before, 0)


async def test_a_cancelled_invocation_ends_its_process(make: Any) -> None:
    target = make("reports:do")
    before = await result(target, {"do": "nothing"})
    running = asyncio.create_task(call(target, {"do": "sleep"}))
    await asyncio.sleep(0.1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert before not in target.pids or await gone(before)
    assert await result(target, {"do": "nothing"}) != before


async def gone(pid: int) -> bool:
    while True:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        await asyncio.sleep(0.01)


async def test_a_forked_process_that_comes_back_says_nothing(make: Any) -> None:
    target = make("reports:do")
    pid = await result(target, {"do": "fork"})
    assert await result(target, {"do": "nothing"}) == pid


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("broken:handler", "RuntimeError: the database is not configured"),
        ("nowhere:handler", "ModuleNotFoundError: No module named 'nowhere'"),
        ("reports:nothing", "AttributeError"),
        ("reports:number", "TypeError: reports:number cannot be called"),
    ],
)
async def test_a_function_that_cannot_be_loaded_has_not_run(make: Any, name: str, problem: str) -> None:
    target = make(name)
    answer = await call(target)
    assert isinstance(answer, Refused)
    assert problem in answer.problem
    assert target.pids == []


async def test_what_a_function_prints_is_logged(make: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "encola.function")
    target = make("reports:count")
    await result(target)
    await target.close()
    assert "call 1" in [record.getMessage() for record in caplog.records]


async def test_lines_without_an_end_are_logged_in_parts(make: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "encola.function")
    target = make("reports:do")
    await result(target, {"do": "long line"})
    await target.close()
    lines = [record.getMessage() for record in caplog.records]
    assert "".join(lines) == "x" * 20_000
    assert max(map(len, lines)) < 20_000


async def test_the_servers_settings_are_not_the_functions_business(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENCOLA_CREDENTIALS", "secret")
    monkeypatch.setenv("ENCOLA_ENDPOINT", "http://127.0.0.1:9324")
    found = await result(make("reports:do", environment={"STAGE": "test"}), {"do": "environment"})
    assert "ENCOLA_CREDENTIALS" not in found
    assert (found["ENCOLA_ENDPOINT"], found["STAGE"]) == ("http://127.0.0.1:9324", "test")


async def test_the_standard_input_of_a_function_is_empty(make: Any) -> None:
    assert await result(make("reports:do"), {"do": "standard input"}) == ""


async def test_a_process_does_not_end_by_the_signal_that_stops_a_service(make: Any) -> None:
    target = make("reports:do")
    before = await result(target, {"do": "nothing"})
    os.kill(before, signal.SIGTERM)
    assert await result(target, {"do": "terminate"}) == before


async def test_a_process_without_a_parent_ends_even_while_the_function_runs(make: Any) -> None:
    target = make("reports:do")
    pid = await result(target, {"do": "nothing"})
    running = asyncio.create_task(call(target, {"do": "sleep"}))
    await asyncio.sleep(0.1)
    (process,) = target._pool._busy
    process._writer.close()  # what the end of this process would do
    assert await gone(pid)
    assert isinstance(await running, Failed)


async def test_closing_ends_all_processes(make: Any) -> None:
    target = make("reports:do")
    idle = await result(target, {"do": "nothing"})
    running = asyncio.create_task(call(target, {"do": "sleep"}))
    await asyncio.sleep(0.1)
    await target.close()
    assert isinstance(await running, Failed)
    assert await gone(idle)
    assert target.pids == []
