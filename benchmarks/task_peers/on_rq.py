"""RQ on Redis: its records of jobs go when the job is done."""

from redis import Redis
from rq import Queue

from benchmarks.task_peers.ledger import QUEUE, SERVER, in_turn, tick

TOGETHER = 1000

queue = Queue(QUEUE, connection=Redis.from_url(SERVER))


def noop() -> None:
    tick()


def in_pipelines(count: int) -> None:
    for start in range(0, count, TOGETHER):
        queue.enqueue_many([Queue.prepare_data(noop, result_ttl=0) for _ in range(min(TOGETHER, count - start))])


SENDERS = {"in turn": in_turn(lambda: queue.enqueue(noop, result_ttl=0)), "enqueue_many": in_pipelines}
