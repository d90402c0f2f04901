"""Dramatiq on RabbitMQ: acknowledged after the work, confirms waited for."""

import time

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker

from benchmarks.task_peers.ledger import PAUSE_SECONDS, QUEUE, SERVER, in_threads, in_turn, tick

broker = RabbitmqBroker(url=SERVER, confirm_delivery=True)
dramatiq.set_broker(broker)


@dramatiq.actor(queue_name=QUEUE)
def noop() -> None:
    tick()


@dramatiq.actor(queue_name=QUEUE)
def pause() -> None:
    tick()
    time.sleep(PAUSE_SECONDS)


SENDERS = {"in turn": in_turn(noop.send), "threads": in_threads(noop.send), "pauses": in_threads(pause.send)}
