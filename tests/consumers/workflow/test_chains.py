"""Chains: results go on, failures go on."""

import pytest

import encola
from encola.consumers.connection import Connection
from encola.consumers.transport import RefusedError
from encola.testing import Inline

from .shop import Shop, why


def test_each_step_gets_what_the_one_before_answered(shop: Shop, run: Inline) -> None:
    last = encola.chain(shop.add.s(1), shop.add.s(more=10), shop.add.s()).send()
    assert last.status() == "queued"
    run.until_idle()
    assert last.result() == 13
    assert shop.ran == ["add 1", "add 2", "add 12"]


def test_a_step_that_takes_nothing_from_before_runs_with_its_own_arguments(shop: Shop, run: Inline) -> None:
    last = encola.chain(shop.add.s(1), shop.add.si(100), shop.add.s()).send()
    run.until_idle()
    assert last.result() == 102


def test_a_chain_of_one_step_is_its_job(shop: Shop, run: Inline) -> None:
    last = encola.chain(shop.add.s(1)).send()
    run.until_idle()
    assert last.result() == 2


def test_a_step_that_fails_for_good_ends_the_chain_and_the_last_job_says_where(shop: Shop, run: Inline) -> None:
    last = encola.chain(shop.add.s(1, more=-9), shop.add.s(), shop.add.s(), shop.add.s()).send()
    run.advance(hours=1)
    assert shop.ran == ["add 1", "add -8", "add -8"]
    assert "ValueError: a negative number (in add/" in why(last)
    assert "earlier in the chain" in why(last)
    assert len(run.dead_letters("numbers")) == 1


def test_a_step_whose_arguments_do_not_fit_ends_the_chain_too(shop: Shop, run: Inline) -> None:
    """Its message went to the dead-letter queue, and who waited for the chain waited for ever."""
    last = encola.chain(shop.write.s(3), shop.add.s(), shop.add.s()).send()
    run.until_idle()
    assert "Expected `int`, got `str`" in why(last)
    assert run.dead_letters("numbers")[0].reason == "bad-payload"


def test_a_last_step_whose_arguments_do_not_fit_is_dead(shop: Shop, run: Inline) -> None:
    last = encola.chain(shop.write.s(3), shop.add.s()).send()
    run.until_idle()
    with pytest.raises(encola.JobDeadError, match="Expected `int`") as dead:
        last.result()
    assert dead.value.type == "bad-payload"


def test_a_step_that_no_worker_knows_ends_the_chain(shop: Shop) -> None:
    """A step of a newer version, which never comes to these workers."""
    newer, older = Shop(), Shop()

    @newer.app.task(queue="numbers")
    def square(number: int) -> int:
        return number * number

    last = encola.chain(newer.add.s(1), square.s(), newer.add.s())
    with Inline(older.app) as run:
        newer.app.bridge = older.app.bridge
        newer.app._connections = older.app._connections
        job = last.send()
        run.advance(days=1)
        assert "no task is called 'square'" in why(job)


def test_a_first_step_whose_key_stands_for_other_arguments_ends_the_chain(shop: Shop, run: Inline) -> None:
    @shop.app.task(queue="numbers", key="same")
    def keyed(number: int) -> int:
        return number

    keyed.send(1)
    last = encola.chain(keyed.s(2), shop.add.s()).send()
    run.until_idle()
    assert "Mismatch: another job has the same key and other arguments" in why(last)


def test_a_first_step_that_was_done_before_is_not_run_again_and_its_result_goes_on(shop: Shop, run: Inline) -> None:
    @shop.app.task(queue="numbers", key="{number}")
    def keyed(number: int) -> int:
        shop.ran.append("keyed")
        return number

    keyed.send(5)
    run.until_idle()
    last = encola.chain(keyed.s(5), shop.add.s()).send()
    run.until_idle()
    assert last.result() == 6
    assert shop.ran == ["keyed", "add 5"]


def test_a_cancelled_first_step_ends_the_chain(shop: Shop, run: Inline) -> None:
    @shop.app.task(queue="numbers", key="{number}")
    def keyed(number: int) -> int:
        return number

    last = encola.chain(keyed.s(5), shop.add.s()).send()
    assert shop.app.job("keyed/5").cancel() == "cancelled"
    run.until_idle()
    assert "Cancelled: it was cancelled" in why(last)


def test_a_later_step_that_is_cancelled_before_its_turn_does_not_run(shop: Shop, run: Inline) -> None:
    """The message of the step came later than the wish to cancel it, and so it ran all the same."""
    last = encola.chain(shop.add.s(1), shop.add.s(), shop.add.s()).send()
    assert last.cancel() == "cancelled"
    run.until_idle()
    with pytest.raises(encola.JobCancelledError):
        last.result()
    assert shop.ran == ["add 1", "add 2"]


def test_a_step_whose_message_would_be_too_large_is_dead_and_so_is_what_follows(shop: Shop, run: Inline) -> None:
    """It was tried again and again: the job before came back, was not run, and failed to send it."""
    step = shop.read.s(other="y" * 900_000)
    last = encola.chain(shop.write.s(250_000), step, shop.add.s()).send()
    run.until_idle()
    assert "what came before makes its message 1" in why(last)
    assert "bytes long, too large for a queue" in why(last)
    assert shop.ran == []
    assert run.waiting("texts") == 0


@pytest.mark.usefixtures("short_leases")
def test_a_step_whose_message_is_refused_is_dead_and_one_that_may_be_taken_later_waits(
    shop: Shop, run: Inline, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(self: Connection, queue: str, message: object) -> str:
        raise RefusedError(code, "no such attribute")

    code = "AccessDenied"
    first = encola.chain(shop.add.s(1), shop.add.s())
    job = first.send()
    send = Connection.send
    with monkeypatch.context() as patch:
        patch.setattr(Connection, "send", refuse)
        run.until_idle()
        assert job.status() == "queued"
    assert Connection.send is send
    run.advance(minutes=1)  # its lease
    assert job.result() == 3
    code = "InvalidParameterValue"
    job = first.send()
    with monkeypatch.context() as patch:
        patch.setattr(Connection, "send", refuse)
        run.until_idle()
    assert "its message was refused: no such attribute (InvalidParameterValue)" in why(job)
    assert run.waiting("numbers") == 0


def test_steps_go_to_the_lanes_of_their_tasks() -> None:
    app = encola.App("lanes")
    app.queue("q", priorities=True)
    ran: list[str] = []

    @app.task(queue="q", priority="low")
    def low() -> None:
        ran.append("low")

    @app.task(queue="q", priority="high")
    def high() -> None:
        ran.append("high")

    with Inline(app) as run:
        encola.chain(low.si(), high.si()).send()
        run._loop.run_until_complete(run._round())
        assert ran == ["low"]
        assert run.waiting("q-high") == 1


def test_steps_on_fifo_queues_go_on_whatever_is_in_their_keys() -> None:
    app = encola.App("ordered")

    @app.task(queue="q.fifo", key="Größe {size} ~ {size}")
    def measure(size: int) -> int:
        return size

    @app.task(queue="q.fifo")
    def double(size: int) -> int:
        return 2 * size

    with Inline(app) as run:
        job = encola.chain(double.s(2), measure.si(7), double.s()).send()
        run.until_idle()
        assert job.result() == 14
