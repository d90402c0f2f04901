"""Before a worker polls: are its queues there, and do they fit its tasks?"""

import logging
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from encola.consumers.errors import ConfigurationError
from encola.consumers.queues import QueueOptions
from encola.consumers.transport import NoQueueError, QueueFacts, RefusedError, Transport

if TYPE_CHECKING:
    from encola.consumers.app import App

_log = logging.getLogger("encola.worker")


def require_records(app: "App", queues: Collection[str]) -> None:
    """For tasks on these queues where there is no store of records. Raises ConfigurationError if one needs it."""
    scheduled = {schedule.task.name for schedule in app.schedules}
    for task in app.tasks.values():
        settings = task.settings
        limited = settings.rate is not None or settings.limit_per_key is not None
        if (task.queue in queues and (settings.track or limited)) or task.name in scheduled:
            raise ConfigurationError(
                f"the task {task.name} needs a store of records: give App(jobs=...) one, or App(jobs=False) for tasks"
                " without status, results, keys, limits and schedules"
            )


def may_create(app: "App", transport: Transport) -> bool:
    """Shall the application make queues that are missing?"""
    return transport.is_encola if app.create_queues is None else app.create_queues


async def create(transport: Transport, queue: QueueOptions, lane: str) -> None:
    """Makes a lane of a queue, with its dead-letter queue. Raises TransportError."""
    wish = queue.wish(lane)
    await transport.create(wish)
    _log.info("the queue %s was made, with dead letters on %s", lane, wish.dead_letters)


async def prepare_queues(app: "App", transport: Transport, queues: Sequence[QueueOptions]) -> None:
    """Makes what is missing if the application may; warns of what will hurt later.

    Raises ConfigurationError (a queue is missing, or has no lane for a priority), TransportError.
    """
    for queue in queues:
        for task in app.tasks.values():
            if task.queue == queue.name:
                app.lane(task, task.settings.priority)
        for lane in queue.lanes:
            try:
                facts = await transport.describe(lane)
            except NoQueueError:
                if not may_create(app, transport):
                    raise ConfigurationError(
                        f"the queue {lane} is missing: create it, or let encola do it with App(create_queues=True)"
                    ) from None
                try:
                    await create(transport, queue, lane)
                except RefusedError as error:
                    raise ConfigurationError(f"the queue {lane} is missing and could not be made: {error}") from None
                facts = await transport.describe(lane)
            for warning in warnings(app, queue, facts):
                _log.warning("%s", warning)


def warnings(app: "App", queue: QueueOptions, facts: QueueFacts) -> list[str]:
    """What will hurt later, in words."""
    told = []
    tasks = [task for task in app.tasks.values() if task.queue == queue.name]
    retries = max((task.settings.retries for task in tasks), default=0)
    if facts.dead_letters is None:
        told.append(f"the queue {facts.name} has no dead-letter queue: what cannot be run will rest on it")
    elif facts.receives_max is not None and facts.receives_max <= retries + 1:
        told.append(
            f"the queue {facts.name} moves messages to {facts.dead_letters} after {facts.receives_max} receives, before"
            f" the {retries} retries of its tasks are over: reasons and what follows would be lost"
        )
    window = min((task.settings.window for task in tasks if task.settings.key is not None), default=None)
    if window is not None and window < facts.retention:
        told.append(
            f"the queue {facts.name} keeps messages for {facts.retention:.0f} s, but keys are kept for {window:.0f} s:"
            " a message that comes later than that runs again"
        )
    return told
