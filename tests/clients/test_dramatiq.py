"""dramatiq with dramatiq-sqs: actors, retries, delays and dead letters, judged by what the actors did."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import dramatiq
import pytest
from dramatiq.middleware import Retries
from dramatiq_sqs import SQSBroker

from ..process import KEY, SECRET, ServerProcess, client

pytestmark = pytest.mark.clients

SECONDS_MAX = 30


@pytest.fixture
def broker(keyed_server: ServerProcess, new_name: Callable[..., str]) -> Iterator[SQSBroker]:
    broker = SQSBroker(
        namespace=new_name("-dramatiq"),
        middleware=[Retries(min_backoff=1000, max_backoff=1000)],
        dead_letter=True,
        tags={"owner": "tests"},
        endpoint_url=keyed_server.url,
        region_name="us-east-1",
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
    )
    yield broker
    broker.close()


def test_actors_run_retry_wait_and_end_as_dead_letters(broker: SQSBroker, keyed_server: ServerProcess) -> None:
    done: Counter[str] = Counter()
    at: dict[str, float] = {}
    changed = threading.Condition()

    def leave(line: str) -> None:
        with changed:
            done[line] += 1
            at[line] = time.monotonic()
            changed.notify_all()

    def note(word: str) -> None:
        leave(f"note {word}")

    def stumble() -> None:
        leave("stumble")
        if done["stumble"] < 3:
            raise ValueError("not yet")

    def fail() -> None:
        leave("fail")
        raise ValueError("never")

    actors: dict[str, Any] = {
        function.__name__: dramatiq.actor(function, broker=broker, max_retries=retries)
        for function, retries in ((note, 0), (stumble, 5), (fail, 1))
    }
    # Given work that was asked for before anybody works
    for n in range(20):
        actors["note"].send(str(n))
    actors["note"].send_with_options(args=("later",), delay=2000)
    sent_at = time.monotonic()
    actors["stumble"].send()
    actors["fail"].send()
    # When workers come
    worker = dramatiq.Worker(broker, worker_timeout=1000, worker_threads=4)
    worker.start()
    try:
        wanted = Counter({f"note {n}": 1 for n in range(20)} | {"note later": 1, "stumble": 3, "fail": 2})
        with changed:
            changed.wait_for(lambda: done.total() >= wanted.total(), SECONDS_MAX)
        broker.join("default", timeout=SECONDS_MAX)
    finally:
        worker.stop()
    # Then each was done as often as it should, the delayed one not too early, and what failed is a dead letter
    assert done == wanted
    assert at["note later"] - sent_at >= 1.9
    sqs = client(keyed_server.url)
    dead = sqs.get_queue_url(QueueName=f"{broker.namespace}_default_dlq")["QueueUrl"]
    assert len(sqs.receive_message(QueueUrl=dead, MaxNumberOfMessages=10)["Messages"]) == 1
    assert sqs.list_queue_tags(QueueUrl=dead)["Tags"] == {"owner": "tests"}
