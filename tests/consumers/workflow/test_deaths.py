"""Whoever dies in the middle of a chain or a group, what follows is done, and once."""

from collections.abc import Callable
from typing import Any

import pytest

import encola
from encola.consumers import follow
from encola.consumers.connection import Connection
from encola.consumers.jobstore import JobStoreError
from encola.consumers.transport import Incoming, TransportError
from encola.testing import Inline

from .shop import Shop, why


class Deaths:
    """Stands in for a worker's death at the n-th thing that it asks of the service, ``before`` or after it was done."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, number: int, *, before: bool, until: Callable[[], bool]
    ) -> None:
        self._number, self._before, self._until = number, before, until
        self.reached = False
        for name in ("command", "send", "delete"):
            monkeypatch.setattr(Connection, name, self._dying(getattr(Connection, name), name == "command"))

    def _dying(self, do: Callable[..., Any], is_command: bool) -> Callable[..., Any]:
        async def step(connection: Connection, *arguments: Any) -> Any:
            self._number -= 1
            dies = self._number == 0 and not self._until()
            self.reached = self.reached or dies
            answer = None if dies and self._before else await do(connection, *arguments)
            if dies:
                raise JobStoreError("died") if is_command else TransportError("died")
            return answer

        return step


@pytest.mark.usefixtures("short_leases")
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_wherever_a_worker_of_a_group_dies_the_join_fires_once(before: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(1, 100):
        shop = Shop()
        with Inline(shop.app) as run, monkeypatch.context() as patch:
            jobs = encola.group(shop.add.s(n) for n in (1, 2)).then(shop.total.s()).send()
            deaths = Deaths(patch, number, before=before, until=lambda ran=shop.ran: [2, 3] in ran)  # type: ignore[misc]
            run.advance(hours=2)
            assert jobs.result() == 5, number
            assert shop.ran.count([2, 3]) == 1, number
            assert (run.waiting("numbers"), run.waiting("totals")) == (0, 1), number  # the end of its time
        if not deaths.reached:
            break
    assert number > 8


@pytest.mark.usefixtures("short_leases")
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_wherever_a_worker_of_a_chain_dies_the_last_step_runs_once(
    before: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, 100):
        shop = Shop()
        with Inline(shop.app) as run, monkeypatch.context() as patch:
            last = encola.chain(shop.add.s(1), shop.add.s(), shop.add.s(more=10)).send()
            deaths = Deaths(patch, number, before=before, until=lambda ran=shop.ran: "add 3" in ran)  # type: ignore[misc]
            run.advance(hours=2)
            assert last.result() == 13, number
            assert shop.ran.count("add 3") == 1, number
            assert run.waiting("numbers") == 0, number
        if not deaths.reached:
            break
    assert number > 6


@pytest.mark.usefixtures("short_leases")
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_wherever_a_worker_of_a_group_that_fails_dies_the_last_job_is_told(
    before: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, 100):
        shop = Shop()
        with Inline(shop.app) as run, monkeypatch.context() as patch:
            jobs = encola.group([shop.add.s(1), shop.add.s(-1)]).then(shop.total.s()).send()
            deaths = Deaths(patch, number, before=before, until=lambda: False)
            run.advance(hours=2)
            assert "1 of 2 members of the group failed" in why(jobs.last), number
            assert (run.waiting("numbers"), run.waiting("totals")) == (0, 1), number  # the end of its time
        if not deaths.reached:
            break
    assert number > 8


@pytest.mark.usefixtures("short_leases")
def test_a_step_that_failed_for_good_does_not_run_again_when_the_one_before_comes_back(
    shop: Shop, run: Inline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was sent anew, and a dead job runs again for a newer message."""

    async def die(connection: Connection, message: Incoming) -> None:
        raise TransportError("died before the message was deleted")

    last = encola.chain(shop.add.s(1, more=-9), shop.add.s()).send()
    with monkeypatch.context() as patch:
        patch.setattr(Connection, "delete", die)
        run.advance(minutes=3)
    run.advance(hours=2)
    assert shop.ran == ["add 1", "add -8", "add -8"]
    assert last.status() == "dead"
    assert run.waiting("numbers") == 0


def test_a_member_that_arrives_twice_makes_no_second_last_job(
    shop: Shop, run: Inline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two workers have the last member at the same time: one lost its lease, and does not know it yet."""
    arrive = follow.Follow._arrive

    async def twice(self: follow.Follow, *arguments: Any) -> None:
        await arrive(self, *arguments)
        await arrive(self, *arguments)

    monkeypatch.setattr(follow.Follow, "_arrive", twice)
    jobs = encola.group(shop.add.s(n) for n in (1, 2)).then(shop.total.s()).send()
    run.until_idle()
    assert jobs.result() == 5
    assert shop.ran.count([2, 3]) == 1
    assert run.waiting("totals") == 1  # the end of its time
