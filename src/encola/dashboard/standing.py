"""How a queue stands, for a page: its figures beside what it is."""

from collections.abc import Container

import msgspec

from encola.broker.broker import Broker
from encola.dashboard.page import Visit
from encola.engine.queue import Address, Queue
from encola.metrics.sampler import Sampler, Snapshot


class Standing(msgspec.Struct):
    """``dead_letters`` are on the queue's dead-letter queue. ``drain_seconds`` None: never, at these rates."""

    id: int
    name: str
    fifo: bool
    paused: bool
    visible: int
    in_flight: int
    delayed: int
    age_seconds: float
    age_new_seconds: float
    age_retrying_seconds: float
    arrival_rate: float
    service_rate: float
    drain_seconds: float | None
    busy: int
    idle: int
    parked: int
    dead_letter_queue: str
    dead_letters: int
    is_dead_letter_queue: bool

    @property
    def stuck(self) -> bool:
        """Something waits, and will for ever; on a dead-letter queue that is as it should be."""
        return bool(self.visible) and self.drain_seconds is None and not self.is_dead_letter_queue


NOTHING = Snapshot()


def dead_letter_queues(broker: Broker) -> Container[Address]:
    """The addresses that some queue's dead-letter rule names."""
    return {queue.settings.dead_letter.target for queue in broker.queues() if queue.settings.dead_letter}


def standing_of(queue: Queue, sampler: Sampler, broker: Broker, targets: Container[Address]) -> Standing:
    """As the sampler saw it last. ``targets`` are all dead-letter queues."""
    now = sampler.latest.get(queue.id, NOTHING)
    counts = now.backlog.counts
    rule = queue.settings.dead_letter
    target = broker.find(rule.target) if rule else None
    dead = sampler.latest.get(target.id, NOTHING).backlog.counts if target else None
    return Standing(
        id=queue.id,
        name=queue.address.name,
        fifo=queue.ordered,
        paused=queue.paused,
        visible=counts.ready,
        in_flight=counts.leased,
        delayed=counts.delayed,
        age_seconds=now.age,
        age_new_seconds=now.age_new,
        age_retrying_seconds=now.age_retrying,
        arrival_rate=now.arrival_rate,
        service_rate=now.service_rate,
        drain_seconds=now.drain_seconds,
        busy=now.busy,
        idle=now.idle,
        parked=now.parked,
        dead_letter_queue=target.address.name if target else "",
        dead_letters=dead.total if dead else 0,
        is_dead_letter_queue=queue.address in targets,
    )


def standing_seen(visit: Visit, queue: Queue, targets: Container[Address]) -> Standing:
    """The same for a visitor, who is not told of a dead-letter queue that is not his to see."""
    house = visit.house
    standing = standing_of(queue, house.sampler, house.broker, targets)
    if standing.dead_letter_queue and not visit.visitor.identity.unlimited:
        target = house.broker.find(Address(queue.address.account, standing.dead_letter_queue))
        if target is None or not visit.may("GetQueueAttributes", target):
            standing.dead_letter_queue, standing.dead_letters = "", 0
    return standing
