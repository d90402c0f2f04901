"""The pushed form: what a handler makes of the events that Lambda, or a mapping of ours, calls it with."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any

import pytest

import encola
from encola.consumers import gate
from encola.consumers.message import OTHER_VERSION
from encola.protocols.aws.credentials import Credential
from encola.testing import EncolaServer

from ..bench import Queues, wait_until
from .pushing import Context, Pusher, event_of

AT_ONCE = encola.Backoff(base=0.0)
SECONDS_MAX = 30.0


# One batch -------------------------------------------------------------------------------------------


def test_the_tasks_of_a_batch_run_and_their_results_are_kept(
    app: encola.App, queue: str, pusher: Pusher, queues: Queues
) -> None:
    @app.task(queue=queue)
    def double(n: int) -> int:
        return 2 * n

    @app.task(queue=queue)
    async def treble(n: int) -> int:
        await asyncio.sleep(0)
        return 3 * n

    jobs = [double.send(1), treble.send(2), double.send(3)]
    result = pusher.push()
    assert (len(result.ids), result.failed) == (3, [])
    assert [job.result(0) for job in jobs] == [2, 6, 6]
    assert queues.held(queue) == 0


def test_those_that_failed_are_named_in_the_order_of_the_event(
    app: encola.App, queue: str, pusher: Pusher, queues: Queues
) -> None:
    @app.task(queue=queue, backoff=encola.Backoff(base=1000.0))
    def odd_fail(n: int) -> None:
        if n % 2:
            raise RuntimeError(f"number {n}")

    odd_fail.send_many([(n,) for n in range(6)])
    messages = pusher.receive(seconds=5)
    bodies = [json.loads(message["Body"])["args"]["n"] for message in messages]
    result = pusher.push_messages(messages)
    failed = [n for n, message in zip(bodies, result.ids, strict=True) if message in result.failed]
    assert sorted(failed) == [1, 3, 5]
    assert result.failed == [message for message in result.ids if message in result.failed]
    assert queues.held(queue) == 3


def test_a_retry_comes_when_its_back_off_is_over_and_not_when_the_lease_is(
    app: encola.App, queue: str, pusher: Pusher
) -> None:
    attempts = []

    @app.task(queue=queue, retries=2)
    def flaky() -> str:
        attempts.append(encola.current_job().attempt)
        if len(attempts) < 3:
            raise encola.Retry(delay=0)
        return "at last"

    job = flaky.send()
    for number in (1, 2):
        assert len(pusher.push(lease=3600).failed) == 1
        assert (job.status(), len(job.errors())) == ("retrying", number)
    assert pusher.push(lease=3600).failed == []
    assert attempts == [1, 2, 3]
    assert job.result(0) == "at last"


def test_what_will_not_succeed_goes_to_the_dead_letter_queue_and_is_not_named(
    app: encola.App, queue: str, pusher: Pusher, queues: Queues
) -> None:
    @app.task(queue=queue)
    def hopeless() -> None:
        raise encola.Permanent("no such month")

    job = hopeless.send()
    result = pusher.push()  # which also deletes it, under its old receipt
    assert (len(result.ids), result.failed) == (1, [])
    assert job.status() == "dead"
    assert queues.held(queue) == 0
    assert queues.dead(queue) == ("permanent", "Permanent: no such month")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("not JSON", "bad-message"),
        ('{"task": "known", "args": {"n": "text"}}', "bad-payload"),
        ('{"task": "known", "v": 99}', OTHER_VERSION),
    ],
)
def test_what_no_task_can_run_is_dead_lettered_with_the_reason(
    app: encola.App, queue: str, pusher: Pusher, queues: Queues, body: str, reason: str
) -> None:
    @app.task(queue=queue)
    def known(n: int) -> None: ...

    queues.send(queue, body)
    assert pusher.push().failed == []
    assert queues.dead(queue)[0] == reason


def test_a_task_that_only_a_newer_version_knows_waits_for_it(
    app: encola.App, queue: str, pusher: Pusher, queues: Queues
) -> None:
    queues.send(queue, '{"task": "of-tomorrow"}')
    assert len(pusher.push(lease=1000).failed) == 1
    assert queues.counts(queue) == (0, 1, 0)


# Order -----------------------------------------------------------------------------------------------


def test_behind_a_message_that_failed_its_group_stops_and_other_groups_go_on(
    app: encola.App, queues: Queues, queue: str, make_queue: Callable[[str], str]
) -> None:
    queue = make_queue(f"{queue}.fifo")
    ran: list[str] = []
    broken = {"a2"}

    @app.task(queue=queue, group="{group}", backoff=AT_ONCE)
    def step(group: str, n: int) -> None:
        if f"{group}{n}" in broken:
            raise RuntimeError("not yet")
        ran.append(f"{group}{n}")

    for n in range(1, 5):
        step.send("a", n)
        step.send("b", n)
    pusher = Pusher(queues, queue, app.lambda_handler())
    result = pusher.push(lease=3600)
    assert [one for one in ran if one[0] == "a"] == ["a1"]
    assert [one for one in ran if one[0] == "b"] == ["b1", "b2", "b3", "b4"]
    assert len(result.failed) == 3  # a2, a3, a4

    broken.clear()
    messages = pusher.receive(seconds=5)  # long before their lease is over
    assert [json.loads(message["Body"])["args"]["n"] for message in messages] == [2, 3, 4]
    counts = [message["Attributes"]["ApproximateReceiveCount"] for message in messages]
    assert counts == ["2", "1", "1"]  # those that waited were given back uncounted
    assert pusher.push_messages(messages).failed == []
    assert [one for one in ran if one[0] == "a"] == ["a1", "a2", "a3", "a4"]


# Time ------------------------------------------------------------------------------------------------


def test_when_the_functions_time_is_nearly_over_its_jobs_are_given_back_uncounted(
    app: encola.App, queue: str, pusher: Pusher, queues: Queues
) -> None:
    begun = []

    @app.task(queue=queue)
    async def endless() -> None:
        begun.append("once more")
        await asyncio.Event().wait()

    @app.task(queue=queue)
    def quick() -> str:
        return "done"

    job, other = endless.send(), quick.send()
    result = pusher.push(lease=3600, context=Context(1.0))
    assert (len(result.ids), len(result.failed)) == (2, 1)
    assert other.result(0) == "done"
    assert job.status() != "dead"
    (message,) = pusher.receive(seconds=5)
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"
    assert begun == ["once more"]


def test_those_that_had_no_turn_before_the_time_was_over_are_given_back_uncounted(
    app: encola.App, queue: str, queues: Queues, make_queue: Callable[[str], str]
) -> None:
    begun = []

    @app.task(queue=queue)
    async def endless(n: int) -> None:
        begun.append(n)
        await asyncio.Event().wait()

    make_queue(queue)
    endless.send_many([(n,) for n in range(4)])
    pusher = Pusher(queues, queue, app.lambda_handler(concurrency=1))
    assert len(pusher.push(lease=3600, context=Context(1.0)).failed) == 4
    assert len(begun) == 1
    messages = pusher.receive(seconds=5)
    assert [message["Attributes"]["ApproximateReceiveCount"] for message in messages] == ["1"] * 4


def test_progress_is_kept_and_a_cancelled_job_ends_while_a_function_runs_it(
    make_app: Callable[..., encola.App], queue: str, queues: Queues, make_queue: Callable[[str], str]
) -> None:
    app = make_app(lease=1.0)

    @app.task(queue=queue)
    async def slow() -> None:
        encola.progress(0.4, "rendering")
        await asyncio.Event().wait()

    make_queue(queue)
    job = slow.send()
    pusher = Pusher(queues, queue, app.lambda_handler())
    with ThreadPoolExecutor(1) as pool:
        push = pool.submit(pusher.push, context=Context(SECONDS_MAX))
        wait_until(lambda: job.progress().note == "rendering", "progress of a pushed job")
        job.cancel()
        assert push.result(SECONDS_MAX).failed == []
    assert job.status() == "cancelled"
    assert queues.held(queue) == 0


def test_a_job_that_runs_longer_than_the_lease_of_records_is_not_run_by_another(
    make_app: Callable[..., encola.App], queue: str, queues: Queues, make_queue: Callable[[str], str]
) -> None:
    app = make_app(lease=1.0)
    go_on = threading.Event()
    begun = []

    @app.task(queue=queue)
    def slow() -> str:
        begun.append(1)
        assert go_on.wait(SECONDS_MAX)
        return "once"

    make_queue(queue)
    job = slow.send()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(Pusher(queues, queue, app.lambda_handler()).push, lease=2)
        wait_until(lambda: begun, "the first invocation")
        again = Pusher(queues, queue, app.lambda_handler()).push(seconds=20)  # two seconds later
        assert len(again.failed) == 1  # busy
        go_on.set()
        first.result(SECONDS_MAX)
    assert job.result(0) == "once"
    assert begun == [1]


# Rights and limits -----------------------------------------------------------------------------------


@pytest.fixture
def limited(monkeypatch: pytest.MonkeyPatch, queue: str) -> Iterator[EncolaServer]:
    """A server on which the function may do what Lambda's own policy for queues allows."""
    actions = ("ReceiveMessage", "DeleteMessage*", "GetQueue*")
    function = Credential(access_key="FUNCTION", secret_key="secret", account="000000000000", actions=actions)
    with EncolaServer([queue], credentials=[function]) as server:
        yield server


def test_without_the_right_to_change_visibility_a_message_comes_when_its_lease_is_over(
    limited: EncolaServer, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    producer = encola.App("limited", server=limited.url, jobs=False)
    sent = producer.task(queue=queue, name="flaky")(lambda: None)
    sent.send()
    producer.close()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "FUNCTION")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    app = encola.App("limited", server=limited.url, jobs=False)
    attempts = []

    @app.task(queue=queue, backoff=AT_ONCE)
    def flaky() -> None:
        attempts.append(encola.current_job().attempt)
        if len(attempts) == 1:
            raise RuntimeError("not yet")

    pusher = Pusher(Queues(limited.url), queue, app.lambda_handler())
    assert len(pusher.push(lease=1).failed) == 1
    assert pusher.push(seconds=20).failed == []
    assert attempts == [1, 2]
    app.close()


def test_waiting_for_a_limit_counts_no_attempt(
    app: encola.App, queue: str, pusher: Pusher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "SLOT_SECONDS_MAX", 0.3)
    go_on = threading.Event()
    ran = []

    @app.task(queue=queue, key="{n}", limit_key="all", limit_per_key=1, retries=0)
    def one_at_a_time(n: int) -> None:
        ran.append(n)
        assert go_on.wait(SECONDS_MAX)

    one_at_a_time.send(1)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(pusher.push)
        wait_until(lambda: ran, "the first job")
        second = one_at_a_time.send(2)
        for _ in range(3):
            assert len(pusher.push(seconds=20).failed) == 1
        go_on.set()
        assert first.result(SECONDS_MAX).failed == []
    wait_until(lambda: not pusher.push(seconds=1).failed and second.status() == "completed", "the second job")
    assert ran == [1, 2]


# Again and again -------------------------------------------------------------------------------------


def test_what_is_opened_once_lives_from_one_invocation_to_the_next(app: encola.App, queue: str, pusher: Pusher) -> None:
    opened: list[object] = []

    def open_database() -> object:
        opened.append(object())
        return opened[-1]

    used = []

    @app.task(queue=queue)
    def note(database: Annotated[Any, encola.Use(open_database)] = encola.USE) -> None:
        used.append(database)

    for _ in range(3):
        note.send()
        assert pusher.push().failed == []
    assert used == opened * 3


def test_several_threads_may_call_one_handler(app: encola.App, queue: str, pusher: Pusher, queues: Queues) -> None:
    ran: list[int] = []

    @app.task(queue=queue)
    async def note(n: int) -> None:
        ran.append(n)

    note.send_many([(n,) for n in range(40)])
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: pusher.push(seconds=1), range(6)))
    assert [result.failed for result in results] == [[]] * 6
    assert sorted(ran) == list(range(40))
    assert queues.held(queue) == 0


def test_two_invocations_at_once_do_not_take_each_other_for_themselves(
    app: encola.App, queue: str, queues: Queues, make_queue: Callable[[str], str]
) -> None:
    """A claim that is repeated by its owner is granted again: owners must differ from invocation to invocation."""
    go_on = threading.Event()
    begun = []

    @app.task(queue=queue, key="the-one")
    def once() -> None:
        begun.append(1)
        assert go_on.wait(SECONDS_MAX)

    make_queue(queue)
    once.send()
    once.send()
    pusher = Pusher(queues, queue, app.lambda_handler())
    one, other = pusher.receive(seconds=5)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(pusher.push_messages, [one])
        wait_until(lambda: begun, "the first invocation")
        assert len(pusher.push_messages([other]).failed) == 1  # busy
        go_on.set()
        assert first.result(SECONDS_MAX).failed == []
    assert begun == [1]


def test_a_wish_that_was_fulfilled_is_not_run_again(
    app: encola.App, queue: str, pusher: Pusher, queues: Queues
) -> None:
    ran = []

    @app.task(queue=queue, key="report/{month}")
    def report(month: str) -> str:
        ran.append(month)
        return f"pages of {month}"

    first = report.send("2026-10")
    assert pusher.push().failed == []
    second = report.send("2026-10")
    assert pusher.push().failed == []
    assert (first.id, first.result(0)) == (second.id, second.result(0))
    assert ran == ["2026-10"]
    assert queues.held(queue) == 0


def test_an_invocation_whose_answer_was_lost_is_repeated_without_a_second_run(
    app: encola.App, queue: str, pusher: Pusher
) -> None:
    ran = []

    @app.task(queue=queue)
    def note() -> None:
        ran.append(1)

    note.send()
    event = event_of(queue, pusher.receive(seconds=5, lease=30))
    handler = app.lambda_handler()
    assert handler(event) == handler(event) == {"batchItemFailures": []}
    assert ran == [1]


def test_chains_and_groups_go_on_from_invocation_to_invocation(app: encola.App, queue: str, pusher: Pusher) -> None:
    @app.task(queue=queue)
    def double(n: int) -> int:
        return 2 * n

    @app.task(queue=queue)
    def total(numbers: list[int]) -> int:
        return sum(numbers)

    chain = encola.chain(double.s(1), double.s(), double.s()).send()
    group = encola.group(double.s(n) for n in range(1, 4)).then(total.s()).send()
    for _ in range(3):
        assert pusher.push().failed == []
    assert chain.result(SECONDS_MAX) == 8
    assert group.result(SECONDS_MAX) == 12
