"""A producer that comes before the first worker, or before the server."""

from collections.abc import Callable

import pytest

import encola
from encola.testing import EncolaServer

from .bench import Queues, working

MakeApp = Callable[..., encola.App]


async def test_the_first_wish_makes_its_queue_and_waits_there_for_a_worker(
    make_app: MakeApp, queue: str, queues: Queues
) -> None:
    app = make_app(lease=17)

    @app.task(queue=queue)
    def work(number: int) -> int:
        return number

    first, *others = await work.asend_many([(number,) for number in range(3)])
    assert queues.counts(queue) == (3, 0, 0)
    found = queues.sqs.get_queue_attributes(QueueUrl=queues.url(queue), AttributeNames=["All"])["Attributes"]
    assert found["VisibilityTimeout"] == "17"
    assert f"{queue}-dead" in found["RedrivePolicy"]
    async with working(app):
        assert [await job.aresult(20) for job in (first, *others)] == [0, 1, 2]


async def test_a_wish_for_a_lane_makes_that_lane(make_app: MakeApp, queue: str, queues: Queues) -> None:
    app = make_app()
    app.queue(queue, priorities=True)

    @app.task(queue=queue)
    def work() -> None: ...

    await work.options(priority="high").asend()
    assert queues.held(f"{queue}-high") == 1


async def test_who_may_make_no_queues_is_told_that_it_is_missing(make_app: MakeApp, queue: str) -> None:
    app = make_app(create_queues=False)

    @app.task(queue=queue)
    def work() -> None: ...

    with pytest.raises(encola.SendError, match="was not sent to") as raised:
        await work.asend()
    assert raised.value.sent == 0


def test_without_a_server_nothing_is_sent_and_later_it_is(make_app: MakeApp, queue: str) -> None:
    with EncolaServer() as server:
        url = server.url
    app = make_app(server=url)

    @app.task(queue=queue)
    def work() -> None: ...

    with pytest.raises(encola.SendError) as raised:
        work.send_many([(), ()])
    assert raised.value.sent == 0
