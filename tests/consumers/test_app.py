"""Declaring tasks, and sending wishes: from plain code, from threads, from event loops, from a forked child."""

import asyncio
import json
import os
import socket
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import encola
from encola.consumers.connection import Connection
from encola.consumers.errors import ConfigurationError
from encola.consumers.transport import TransportError

from ..process import ServerProcess, client
from .bench import Queues, wait_until, working

MakeApp = Callable[..., encola.App]


@pytest.fixture
def ready(queues: Queues, queue: str) -> str:
    """The queue, which is there already."""
    queues.sqs.create_queue(QueueName=queue)
    return queue


# Declaring -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"name": ""}, "an application has a name, without a slash"),
        ({"name": "a/b"}, "an application has a name, without a slash"),
        ({"name": "a", "lease": 0.5}, "a lease is between 1 and 43,200 seconds"),
        ({"name": "a", "lease": 43_201}, "a lease is between 1 and 43,200 seconds"),
        ({"name": "a", "lease": float("nan")}, "a lease is between 1 and 43,200 seconds"),
    ],
)
def test_an_application_that_cannot_be_is_refused(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        encola.App(**arguments)


def test_two_tasks_need_two_names() -> None:
    app = encola.App("a")

    def work() -> None: ...

    app.task(queue="q")(work)
    with pytest.raises(ConfigurationError, match="two tasks are called work: give one another name="):
        app.task(queue="other")(work)
    assert app.task(queue="other", name="other")(work).name == "other"


def test_the_queue_of_a_batch_task_is_its_own() -> None:
    app = encola.App("a")
    app.batch(queue="batches", name="one")(lambda items: None)
    app.task(queue="tasks", name="two")(lambda: None)
    with pytest.raises(ConfigurationError, match="the queue batches belongs to a batch task, and to no other"):
        app.task(queue="batches", name="three")(lambda: None)
    with pytest.raises(ConfigurationError, match="the queue tasks belongs to a batch task, and to no other"):
        app.batch(queue="tasks", name="four")(lambda items: None)
    with pytest.raises(ConfigurationError, match="the queue batches belongs to a batch task, and to no other"):
        app.batch(queue="batches", name="five")(lambda items: None)
    assert sorted(app.tasks) == ["one", "two"]


def test_a_batch_task_has_no_priorities() -> None:
    """Its worker polled the high lane, and no other."""
    app = encola.App("a")
    app.batch(queue="batches", name="one")(lambda items: None)
    with pytest.raises(ConfigurationError, match="the queue batches belongs to a batch task, which has no priorities"):
        app.queue("batches", priorities=True)
    app.queue("lanes", priorities=True)
    with pytest.raises(ConfigurationError, match="the queue lanes has priorities, but two is a batch task"):
        app.batch(queue="lanes", name="two")(lambda items: None)


async def _asynchronous() -> None: ...


@pytest.mark.parametrize(
    ("options", "function", "text"),
    [
        ({"run": "process"}, _asynchronous, "an async function runs on the loop, not in a process"),
        ({"key": "{month}"}, lambda year: None, "the key '{month}' cannot be filled in: the task has no parameter"),
        ({"limit_per_key": 1, "limit_key": "{}"}, lambda year: None, "the limit_key '{}' cannot be filled in"),
        ({"group": "{month}"}, lambda year: None, "the group '{month}' cannot be filled in"),
        ({"rate": "fast"}, lambda: None, "a rate is written as 100/s"),
        ({}, lambda *values: None, r"a task cannot take \*args"),
    ],
)
def test_a_declaration_that_cannot_work_is_refused_before_anything_is_sent(
    options: dict[str, Any], function: Callable[..., Any], text: str
) -> None:
    app = encola.App("a")
    with pytest.raises(ConfigurationError, match=text):
        app.task(queue="q", name="work", **options)(function)
    assert app.tasks == {}


def test_to_call_a_task_calls_the_plain_function() -> None:
    app = encola.App("a")

    @app.task(queue="q")
    def add(one: int, other: int = 1) -> int:
        """Adds."""
        return one + other

    @app.task(queue="q")
    async def later(one: int) -> int:
        return one

    assert add(1) == 2
    assert add(1, other=5) == 6
    assert asyncio.run(later(3)) == 3
    assert (add.__doc__, add.__name__, repr(add)) == ("Adds.", "add", "<Task add on q>")
    assert repr(app) == "<App a>"


# Sending ---------------------------------------------------------------------------------------------


def test_what_is_sent_is_on_the_queue_when_send_returns(app: encola.App, ready: str, queues: Queues) -> None:
    @app.task(queue=ready, key="report/{month}")
    def work(month: str) -> None: ...

    @app.task(queue=ready, name="report", key="report/{month}")
    def other(month: str) -> None: ...

    assert (work.send("10").id, other.send(month="11").id) == ("work/report/10", "report/11")
    assert queues.counts(ready) == (2, 0, 0)
    first, _ = queues.receive(ready)
    wish = {"task": "work", "args": {"month": "10"}, "job": "work/report/10", "keyed": True, "app": app.name}
    assert json.loads(first["Body"]) == wish
    assert first["MessageAttributes"]["encola.task"]["StringValue"] == "work"


def test_many_are_sent_at_once_in_their_order_of_jobs(app: encola.App, ready: str, queues: Queues) -> None:
    @app.task(queue=ready, key="{n}")
    def work(n: int, more: str = "") -> None: ...

    jobs = work.send_many([(n,) if n % 2 else {"n": n, "more": "x"} for n in range(1234)])
    assert [job.id for job in jobs] == [f"work/{n}" for n in range(1234)]
    assert queues.held(ready) == 1234
    assert work.send_many([]) == []


def test_if_one_of_many_does_not_fit_nothing_is_sent(app: encola.App, ready: str, queues: Queues) -> None:
    @app.task(queue=ready)
    def work(n: int) -> None: ...

    with pytest.raises(encola.BadPayloadError):
        work.send_many([(1,), (2,), ("three",)])
    with pytest.raises(encola.BadPayloadError, match="too large for a queue"):
        app.task(queue=ready, name="big")(lambda text: None).send("x" * 1_100_000)
    with pytest.raises(encola.BadPayloadError, match="its key is too long"):
        work.options(key="k" * 1100).send(1)
    assert queues.held(ready) == 0


def test_a_send_that_fails_tells_how_many_were_sent(
    app: encola.App, ready: str, queues: Queues, monkeypatch: pytest.MonkeyPatch
) -> None:
    @app.task(queue=ready)
    def work(n: int) -> None: ...

    send = Connection.send

    async def shaky(self: Connection, queue: str, message: Any) -> str:
        if '"n":1' in message.body:
            raise TransportError("not now")
        return await send(self, queue, message)

    monkeypatch.setattr(Connection, "send", shaky)
    with pytest.raises(encola.SendError, match=r"work was not sent to .*: not now") as failed:
        work.send_many([(n,) for n in range(9)])
    assert failed.value.sent == 8
    assert queues.held(ready) == 8
    with pytest.raises(encola.SendError) as failed:
        work.send(1)
    assert failed.value.sent == 0


def test_a_queue_that_is_not_there_and_a_server_that_is_not_are_send_errors(make_app: MakeApp, queue: str) -> None:
    task = make_app(create_queues=False).task(queue=queue, name="work")(lambda: None)
    with pytest.raises(encola.SendError, match=queue):
        task.send()
    nowhere = make_app(server="http://127.0.0.1:9")
    with pytest.raises(encola.SendError, match="work was not sent"):
        nowhere.task(queue=queue, name="work")(lambda: None).send()


def test_options_of_one_wish(app: encola.App, ready: str, queues: Queues) -> None:
    app.queue(ready, priorities=True)
    queues.sqs.create_queue(QueueName=f"{ready}-high")

    @app.task(queue=ready)
    def work(n: int) -> None: ...

    assert work.options(key="mine").send(1).id == "work/mine"
    work.options(delay=600).send(2)
    work.options(at=datetime.now(UTC) + timedelta(days=10)).send(3)
    work.options(priority="high").send(4)
    work.options(attributes={"tenant": "blue"}, group="fair").send(5)
    assert queues.counts(ready) == (2, 0, 2)
    assert queues.counts(f"{ready}-high") == (1, 0, 0)
    by_job = {m["Body"].partition('"n":')[2][0]: m for m in queues.receive(ready)}
    assert by_job["5"]["MessageAttributes"]["tenant"]["StringValue"] == "blue"
    assert by_job["5"]["Attributes"]["MessageGroupId"] == "fair"
    with pytest.raises(TypeError):
        work.options(colour="red")
    with pytest.raises(ConfigurationError, match="a delay is at most 14 days"):
        work.options(delay=15 * 86_400).send(1)


def test_the_group_of_a_fifo_queue_is_the_tasks_or_made_of_the_arguments(
    app: encola.App, queue: str, queues: Queues
) -> None:
    name = f"{queue}.fifo"
    queues.sqs.create_queue(QueueName=name, Attributes={"FifoQueue": "true"})
    app.task(queue=name, name="plain")(lambda n: None).send(1)
    grouped = app.task(queue=name, name="grouped", group="customer-{n}")(lambda n: None)
    grouped.send(1)
    grouped.options(group="other").send(1)
    groups = {message["Attributes"]["MessageGroupId"] for message in queues.receive(name)}
    assert groups == {"plain", "customer-1", "other"}


# From everywhere -------------------------------------------------------------------------------------


def test_threads_send_over_one_connection(app: encola.App, ready: str, queues: Queues) -> None:
    opened: list[Connection] = []
    connect = app.bridge._connect

    def counting() -> Connection:
        opened.append(connect())
        return opened[-1]

    app.bridge._connect = counting

    @app.task(queue=ready)
    def work(n: int) -> None: ...

    start = threading.Barrier(8)

    def send(n: int) -> None:
        start.wait()
        for _ in range(5):
            work.send(n)

    threads = [threading.Thread(target=send, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert queues.held(ready) == 40
    assert len(opened) == 1


def test_event_loops_that_come_and_go_send_each_for_itself_and_at_the_same_time(
    app: encola.App, ready: str, queues: Queues
) -> None:
    @app.task(queue=ready)
    def work(n: int) -> None: ...

    async def send() -> str:
        jobs = await asyncio.gather(*(work.asend(n) for n in range(10)))
        return await jobs[0].astatus()

    assert [asyncio.run(send()) for _ in range(3)] == ["queued"] * 3
    threads = [threading.Thread(target=lambda: asyncio.run(send())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert queues.held(ready) == 60


async def test_async_code_may_wait_for_send_too(app: encola.App, ready: str, queues: Queues) -> None:
    @app.task(queue=ready)
    def work() -> None: ...

    work.send()  # blocks this loop for a moment, and no longer
    assert queues.held(ready) == 1


async def test_a_task_sends_over_the_connection_of_its_worker(app: encola.App, queue: str) -> None:
    @app.task(queue=queue)
    async def child(n: int) -> int:
        return n + 1

    @app.task(queue=queue)
    async def parent() -> int:
        return await (await child.asend(1)).aresult(timeout=30)

    @app.task(queue=queue)
    def thread() -> int:
        return child.send(2).result(timeout=30)

    @app.task(queue=queue)
    async def blocking() -> str:
        return child.send(3).id

    async with working(app):
        assert await (await parent.asend()).aresult(timeout=30) == 2
        assert app.bridge._thread is None
        assert await (await thread.asend()).aresult(timeout=30) == 3
        assert (await (await blocking.asend()).aresult(timeout=30)).startswith("child/")


async def test_the_bridges_own_loop_cannot_wait_for_itself(app: encola.App, ready: str) -> None:
    """It hung."""

    @app.task(queue=ready)
    def work() -> None: ...

    class Recursive(encola.Middleware):
        async def delivering(self, queue: str, messages: Any, call_next: Callable[[], Any]) -> Any:
            work.send()

    app.middleware.append(Recursive())

    def send() -> None:
        work.send()

    with pytest.raises(RuntimeError, match=r"await asend\(\), aresult\(\) ... instead"):
        await asyncio.wait_for(asyncio.to_thread(send), 20)


@pytest.mark.crash
def test_a_child_that_was_forked_has_a_connection_of_its_own(app: encola.App, ready: str, queues: Queues) -> None:
    @app.task(queue=ready)
    def work(n: int) -> None: ...

    work.send(0)
    children = []
    for n in (1, 2):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                work.send(n)
                work.send_many([(n,)] * 3)
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    work.send(3)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0, 0]
    work.send(4)
    assert queues.held(ready) == 3 + 2 * 4


def test_after_close_an_application_can_be_used_again(app: encola.App, ready: str, queues: Queues) -> None:
    @app.task(queue=ready)
    def work() -> None: ...

    app.close()
    before = threading.active_count()
    for _ in range(3):
        work.send()
        app.close()
        app.close()
    wait_until(lambda: threading.active_count() <= before, "its thread to end")
    assert queues.held(ready) == 3


def test_an_application_whose_server_comes_later_works_then(make_app: MakeApp, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    app = make_app(server=f"http://127.0.0.1:{port}")
    work = app.task(queue="q", name="work")(lambda: None)
    with pytest.raises(encola.SendError):
        work.send()
    with ServerProcess(tmp_path, port=port) as server:
        client(server.url).create_queue(QueueName="q")
        work.send()
        assert Queues(server.url).held("q") == 1
        app.close()
