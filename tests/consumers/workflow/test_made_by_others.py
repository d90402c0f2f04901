"""Chains and groups in messages that others made."""

import json
from typing import Any

import pytest

from encola.consumers import workflow
from encola.testing import Inline

from .shop import Shop, send_raw, why


def _membership(**changes: Any) -> dict[str, Any]:
    then = {"task": "total", "queue": "totals", "job": "total/x", "args": {}, "into": "numbers"}
    return {"group": "g", "total": 2, "index": 0, "then": then, **changes}


@pytest.mark.parametrize(
    "changes",
    [
        {"total": 0}, {"total": 10_001}, {"index": -1}, {"index": 2}, {"index": 10_000}, {"group": ""},
        {"group": "g" * 101}, {"then": {"task": "total", "queue": "totals", "job": "", "args": {}}},
        {"then": {"task": "total", "queue": "totals", "job": "total/" + "x" * 1020, "args": {}}},
    ],
)  # fmt: skip
def test_a_membership_that_no_record_can_hold_is_a_bad_message(
    shop: Shop, run: Inline, changes: dict[str, Any]
) -> None:
    """It came back for ever, and with it the commands of other jobs failed that were sent together with it."""
    send_raw(run, "numbers", {"task": "add", "args": {"number": 1}, "job": "add/1", "join": _membership(**changes)})
    run.until_idle()
    assert [letter.reason for letter in run.dead_letters("numbers")] == ["bad-message"]
    assert shop.ran == []


@pytest.mark.parametrize("args", ['{"group": "", "total": 1}', '{"group": "g", "total": 0}', "[]", "7"])
def test_an_end_of_time_that_tells_nothing_is_a_bad_message(shop: Shop, run: Inline, args: str) -> None:
    send_raw(run, "numbers", {"task": workflow.TIMEOUT_TASK, "args": json.loads(args)})
    run.until_idle()
    assert [letter.reason for letter in run.dead_letters("numbers")] == ["bad-message"]


def test_members_that_disagree_on_their_number_end_with_a_dead_job(shop: Shop, run: Inline) -> None:
    for index, total in ((5, 6), (0, 2)):
        join = _membership(total=total, index=index)
        wish = {"task": "add", "args": {"number": 1}, "job": f"add/{index}", "join": join}
        send_raw(run, "numbers", wish)
    run.until_idle()
    assert "1 of 2 members of the group failed" in why(shop.app.job("total/x"))


def test_a_next_step_whose_arguments_are_no_object_is_dead(shop: Shop, run: Inline) -> None:
    step = {"task": "add", "queue": "numbers", "job": "add/2", "args": [1], "into": "number"}
    send_raw(run, "numbers", {"task": "add", "args": {"number": 1}, "job": "add/1", "then": [step]})
    run.until_idle()
    assert "its arguments are none" in why(shop.app.job("add/2"))
    assert run.waiting("numbers") == 0


def test_a_bad_message_does_not_end_the_job_of_another_task_or_one_that_was_done(shop: Shop, run: Inline) -> None:
    @shop.app.task(queue="numbers", key="{number}")
    def keyed(number: int) -> int:
        return number

    done = keyed.send(5)
    run.until_idle()
    for wish in (
        {"task": "add", "args": {"number": "bad"}, "job": "keyed/5"},
        {"task": "keyed", "args": {"number": "bad"}, "job": "keyed/5", "keyed": True},
        {"task": "add", "args": {"number": "bad"}, "job": "keyed/6"},
    ):
        send_raw(run, "numbers", wish)
    run.until_idle()
    assert done.result() == 5
    assert shop.app.job("keyed/6").status() == "queued"
    assert len(run.dead_letters("numbers")) == 3
