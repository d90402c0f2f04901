"""Searches for jobs are cut into steps: none looks at more, or answers more, than it may, and none leaves a trace."""

import msgspec
import pytest

from encola.engine.records import Cancel, Claim, Complete
from encola.stores.sqlite import records
from tests.conformance.desk import SECOND, Desk

HOUR = 3600 * SECOND


async def a_job(desk: Desk, key: str, task: str = "report", result: bytes = b"null") -> None:
    await desk.do(
        Claim(key, "me", task, "reports", "hash", SECOND, HOUR),
        Complete(key, "me", 1, HOUR, msgspec.Raw(result)),
    )
    desk.turn(1)


async def test_a_rare_task_is_found_behind_many_others_step_by_step(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "LOOKED_AT_MAX", 3)
    await a_job(desk, "rare", "rare")
    for number in range(7):
        await a_job(desk, str(number))
    first = await desk.find(task="rare")
    assert (first.jobs, first.next and first.next[1]) == ([], "4")
    assert await desk.all_found(task="rare") == ["rare"]


async def test_a_page_has_no_more_bytes_than_it_may_but_always_a_job(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "FOUND_BYTES_MAX", 1500)
    for number in range(6):
        await a_job(desk, str(number), result=b'"' + b"r" * 1000 + b'"')
    first = await desk.find()
    assert [job.key for job in first.jobs] == ["5", "4"]
    assert await desk.all_found() == ["5", "4", "3", "2", "1", "0"]
    monkeypatch.setattr(records, "FOUND_BYTES_MAX", 1)
    assert await desk.all_found() == ["5", "4", "3", "2", "1", "0"]


@pytest.mark.parametrize("sorted_max", [0, 2, 3, 2000])
async def test_a_prefix_finds_the_same_whichever_way_it_goes(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, sorted_max: int
) -> None:
    monkeypatch.setattr(records, "SORTED_MAX", sorted_max)
    for key in ("a/1", "b/2", "b/1", "b/3", "c"):
        await a_job(desk, key)
    await desk.do(Cancel("b/4", "mail", "mails", HOUR))
    for limit in (1, 2, 100):
        assert await desk.all_found(prefix="b/", limit=limit) == ["b/4", "b/3", "b/1", "b/2"]
        assert await desk.all_found(prefix="b/", limit=limit, states=("completed",)) == ["b/3", "b/1", "b/2"]


async def test_a_search_that_stops_early_keeps_no_snapshot(desk: Desk) -> None:
    """Else the log could never begin anew."""
    for number in range(5):
        await a_job(desk, str(number))
    assert len((await desk.find(limit=1)).jobs) == 1
    assert len((await desk.find(limit=1, prefix="1")).jobs) == 1
    reader = desk.store._long_reader._execute.__self__  # type: ignore[attr-defined]
    assert not reader.in_transaction
    await a_job(desk, "after")
    assert [job.key for job in (await desk.find(limit=1)).jobs] == ["after"]
