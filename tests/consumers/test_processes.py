"""Child processes: what goes to them and comes back, and that none is left behind, however they end."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from typing import Any

import psutil
import pytest

from encola.consumers.processes import (
    AnswerTooLongError,
    CrashedError,
    EndsEarlyError,
    NotLoadedError,
    Pool,
    Program,
)

from .bench import ROOT, until

PROGRAM = "tests.consumers.pool_program"
LIMIT = 8 * 1024 * 1024


@pytest.fixture
async def make() -> AsyncIterator[Callable[..., Pool]]:
    pools: list[Pool] = []

    def new(how: str = "well", **options: Any) -> Pool:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        pools.append(Pool(Program(module=PROGRAM, arguments=(how,), environment=environment, **options)))
        return pools[-1]

    yield new
    for pool in pools:
        await pool.close()
        assert pool.pids == []


async def call(pool: Pool, do: str, payload: bytes = b"", *, timeout: float | None = 30, **more: Any) -> bytes:
    header = {"do": do, **more.pop("header", {})}
    return (await pool.call(header, payload, **{"timeout": timeout, "limit": LIMIT, **more})).payload


async def pid_of(pool: Pool) -> int:
    return int(await call(pool, "pid"))


async def gone(pid: int) -> None:
    """Waits for the end of a process; one that nobody has waited for yet is over, too."""

    def over() -> bool:
        try:
            return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    await until(over, f"the end of process {pid}")


async def test_large_payloads_go_there_and_back(make: Callable[..., Pool]) -> None:
    payload = os.urandom(6 * 1024 * 1024)
    assert await call(make(), "echo", payload) == payload


async def test_an_answer_that_is_too_long_is_not_read_and_ends_its_process(make: Callable[..., Pool]) -> None:
    pool = make()
    before = await pid_of(pool)
    with pytest.raises(AnswerTooLongError):
        await call(pool, "large", b"1001", limit=1000)
    await gone(before)
    assert len(await call(pool, "large", b"1000", limit=1000)) == 1000


async def test_a_module_may_be_where_only_the_given_path_leads(make: Callable[..., Pool]) -> None:
    import sys

    pool = Pool(Program(module=PROGRAM, arguments=("well",), path=(str(ROOT), *sys.path)))
    assert await call(pool, "echo", b"found") == b"found"
    await pool.close()


async def test_a_child_that_is_of_no_use_says_why(make: Callable[..., Pool]) -> None:
    with pytest.raises(NotLoadedError) as caught:
        await call(make("refuse"), "echo")
    assert caught.value.told == {"why": "it is Sunday"}


async def test_a_child_that_refuses_a_call_takes_the_next(make: Callable[..., Pool]) -> None:
    pool = make()
    before = await pid_of(pool)
    with pytest.raises(NotLoadedError) as caught:
        await call(pool, "refuse")
    assert caught.value.told == {"why": "not today"}
    assert await pid_of(pool) == before


async def test_children_that_end_before_they_begin_are_not_started_for_ever(make: Callable[..., Pool]) -> None:
    with pytest.raises(EndsEarlyError):
        await call(make("end"), "echo")


async def test_a_child_that_does_not_start_is_given_up(make: Callable[..., Pool]) -> None:
    pool = make("hang", start=0.5)
    with pytest.raises(NotLoadedError, match=r"was not ready within 0\.5 s"):
        await call(pool, "echo")
    assert not [one for one in psutil.Process().children() if PROGRAM in one.cmdline()]


async def test_a_child_that_does_not_begin_is_given_up(make: Callable[..., Pool]) -> None:
    pool = make(start=3.0)
    before = await pid_of(pool)
    with pytest.raises(CrashedError, match="did not begin within 3 s"):
        await call(pool, "nothing")
    await gone(before)


async def test_nothing_can_be_started_says_so(make: Callable[..., Pool], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    with pytest.raises(NotLoadedError, match="no process can be started"):
        await call(make(), "echo")


async def test_a_call_that_is_cancelled_while_its_process_starts_leaves_none(make: Callable[..., Pool]) -> None:
    pool = make("hang")
    running = asyncio.create_task(call(pool, "echo"))
    found = await until(
        lambda: [one for one in psutil.Process().children() if PROGRAM in one.cmdline()], "a process that starts"
    )
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await gone(found[0].pid)


async def test_a_pool_that_is_closed_while_a_process_starts_has_none_after(make: Callable[..., Pool]) -> None:
    pool = make()
    running = asyncio.create_task(call(pool, "echo"))
    await asyncio.sleep(0)
    await pool.close()
    with pytest.raises(EndsEarlyError):
        await running
    with pytest.raises(EndsEarlyError):
        await call(pool, "echo")
    assert not [one for one in psutil.Process().children() if PROGRAM in one.cmdline()]


@pytest.mark.parametrize("how", ["cancelled", "timed out", "closed", "parent gone"])
async def test_a_call_that_ends_early_takes_with_it_what_it_has_started(make: Callable[..., Pool], how: str) -> None:
    pool = make()
    child = await pid_of(pool)
    helpers: list[str] = []
    timeout = 1.0 if how == "timed out" else None
    running = asyncio.create_task(
        call(pool, "hang", timeout=timeout, on_progress=lambda share, note: helpers.append(note))
    )
    await until(lambda: helpers, "a process of the call's own")
    if how == "cancelled":
        running.cancel()
    elif how == "closed":
        await pool.close()
    elif how == "parent gone":
        (busy,) = pool._busy
        busy._writer.close()  # what the end of this process would do
    with pytest.raises((asyncio.CancelledError, TimeoutError, CrashedError)):
        await running
    await gone(child)
    await gone(int(helpers[0]))


async def test_a_child_that_crashes_leaves_no_process_of_its_own(make: Callable[..., Pool]) -> None:
    pool = make()
    helpers: list[str] = []
    with pytest.raises(CrashedError, match="signal SIGSEGV"):
        await call(
            pool, "crash", header={"leaves": False}, on_progress=lambda share, note: helpers.append(note), timeout=None
        )
    await gone(int(helpers[0]))


async def test_a_child_that_is_killed_while_it_is_idle_leaves_no_process_either(make: Callable[..., Pool]) -> None:
    pool = make()
    child, helper = await pid_of(pool), int(await call(pool, "sleeper"))
    os.kill(child, signal.SIGKILL)
    await gone(helper)


async def test_a_crash_is_seen_though_a_daemon_that_the_call_forked_lives_on(make: Callable[..., Pool]) -> None:
    helpers: list[str] = []
    with pytest.raises(CrashedError, match="signal SIGSEGV"):
        await call(
            make(), "crash", header={"leaves": True}, on_progress=lambda share, note: helpers.append(note), timeout=None
        )
    os.kill(int(helpers[0]), signal.SIGKILL)


@pytest.mark.parametrize("noise", ["noise", "no json"])
async def test_noise_on_the_channel_ends_the_process(make: Callable[..., Pool], noise: str) -> None:
    pool = make()
    before = await pid_of(pool)
    with pytest.raises(CrashedError, match="it closed its channel, and was ended"):
        await call(pool, noise)
    assert await pid_of(pool) != before


async def test_progress_of_an_earlier_call_is_not_taken_for_this_ones(make: Callable[..., Pool]) -> None:
    pool = make()
    heard: list[str] = []
    await call(pool, "tell later")
    for number in range(50):
        payload = str(number).encode()
        assert await call(pool, "echo", payload, on_progress=lambda share, note: heard.append(note)) == payload
    assert heard == []


async def test_texts_that_are_no_unicode_are_told_with_a_sign_in_their_place(make: Callable[..., Pool]) -> None:
    heard: list[str] = []
    await call(make(), "no unicode", on_progress=lambda share, note: heard.append(note))
    assert heard == ["half a pair: ?"]


async def test_what_a_call_forks_can_be_terminated(make: Callable[..., Pool]) -> None:
    """The child itself does not end by SIGTERM; a pool of multiprocessing that inherited this could never end."""
    assert int(await call(make(), "terminate a fork")) == signal.SIGTERM


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="no /proc to look at")
async def test_what_a_call_forks_has_no_part_in_the_channel(make: Callable[..., Pool]) -> None:
    """Else it could speak in the call's place, and keep the channel open when the call is gone."""
    assert await call(make(), "look for the channel") == b"0"


async def test_processes_that_are_idle_for_too_long_end(make: Callable[..., Pool]) -> None:
    pool = make(idle=0.2)
    pids = {int(one) for one in await asyncio.gather(*(call(pool, "pid") for _ in range(3)))}
    assert len(pids) == 3
    await until(lambda: not pool.pids, "the end of what is idle")
    for pid in pids:
        await gone(pid)
    assert await pid_of(pool) not in pids


async def test_the_process_that_was_busy_last_is_taken_first(make: Callable[..., Pool]) -> None:
    """So that those which are too many become idle."""
    pool = make()
    await asyncio.gather(*(call(pool, "pid") for _ in range(3)))
    assert len({await pid_of(pool) for _ in range(5)}) == 1
