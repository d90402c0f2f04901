"""Hooks around the sending and the running of tasks, and after them."""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal

from encola.consumers.context import CurrentJob
from encola.consumers.transport import Outgoing

Outcome = Literal["completed", "retrying", "dead", "cancelled", "released", "replayed", "lost"]
"""What came of an attempt. ``retrying``: it failed, and another follows. ``dead``: it failed for good. ``released``: it
was given back uncounted (a limit, another worker has the job, shutdown). ``replayed``: the job was done before, and was
not run again. ``lost``: it counts for nothing, since its lease was lost or the service could not be told.
"""

ATTRIBUTES_MAX = 9
"""For ``sending``: SQS allows ten attributes, and one is kept for the time at which a delayed message is due."""

_log = logging.getLogger("encola.worker")


class Middleware:
    """Override what you need. The application's list is nested: the first is the outermost."""

    def sending(self, task: str, job: str, queue: str, attributes: dict[str, str]) -> None:
        """A message is about to be sent; ``attributes`` may be added to (text; ``ATTRIBUTES_MAX`` in all).

        What is raised here keeps a producer from sending. The runtime's own messages (the next step of a chain, the
        last job of a group) are sent all the same, and what was raised is logged; ``attributes`` then hold already
        what the job before left in its ``carry``.
        """

    async def delivering(
        self, queue: str, messages: Sequence[Outgoing], call_next: Callable[[], Awaitable[Any]]
    ) -> Any:
        """A producer's messages go to their queue: ``return await call_next()``, which raises what the producer gets.

        Not called for messages of the runtime itself, and not for those of an outbox.
        """
        return await call_next()

    async def running(
        self, job: CurrentJob, attributes: Mapping[str, str], call_next: Callable[[], Awaitable[Any]]
    ) -> Any:
        """An attempt is about to run: ``return await call_next()``, and whatever is to be done before and after.

        What the task raises comes through here; what is raised here counts as raised by the task. ``attributes`` are
        those of the message, and empty for a batch, whose messages are all in ``job.messages``.
        """
        return await call_next()

    def ended(self, job: CurrentJob, outcome: Outcome, seconds: float) -> None:
        """What came of an attempt, or of a call of a batch task; told when it is settled, to the innermost first.

        ``seconds`` is how long it ran: 0.0 if it was not even begun (``running`` was not called then). The outcome of
        a batch is that of its least lucky message. What is raised here is logged, and changes nothing.
        """


def tell_ended(middleware: Sequence[Middleware], job: CurrentJob, outcome: Outcome, seconds: float) -> None:
    """Tells all of them, whatever one of them raises."""
    for one in reversed(middleware):
        try:
            one.ended(job, outcome, seconds)
        except Exception:
            _log.exception("middleware %s failed at the end of job %s", type(one).__name__, job.id)


def tell_following(
    middleware: Sequence[Middleware], task: str, job: str, queue: str, attributes: dict[str, str]
) -> None:
    """As ``sending``, for a message of the runtime: nobody is there who could be told of an error."""
    for one in middleware:
        try:
            one.sending(task, job, queue, attributes)
        except Exception:
            _log.exception("middleware %s failed before job %s was sent", type(one).__name__, job)
