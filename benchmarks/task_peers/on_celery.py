"""Celery: acknowledged after the work, no results; confirms of RabbitMQ waited for."""

import time

from celery import Celery

from benchmarks.task_peers.ledger import PAUSE_SECONDS, QUEUE, SERVER, in_threads, in_turn, tick

app = Celery("bench", broker=SERVER)
app.conf.update(
    task_default_queue=QUEUE,
    task_ignore_result=True,
    task_acks_late=True,
    broker_transport_options={"confirm_publish": True} if SERVER.startswith("amqp") else {},
    broker_connection_retry_on_startup=True,
)


@app.task
def noop() -> None:
    tick()


@app.task
def pause() -> None:
    tick()
    time.sleep(PAUSE_SECONDS)


SENDERS = {"in turn": in_turn(noop.delay), "threads": in_threads(noop.delay), "pauses": in_threads(pause.delay)}
