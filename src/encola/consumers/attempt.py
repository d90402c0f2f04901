"""One message at work: what is known of it from when it was read to its end."""

from collections.abc import Mapping
from typing import Any

import msgspec

from encola.consumers.context import CurrentJob
from encola.consumers.leases import Hold
from encola.consumers.message import JobMessage, trace_of
from encola.consumers.middleware import Outcome
from encola.consumers.task import Task
from encola.consumers.transport import Incoming


class Attempt(msgspec.Struct):
    """What is known of the message while it is worked on."""

    message: Incoming
    hold: Hold
    wish: JobMessage
    task: Task[Any, Any]
    job: str
    arguments: dict[str, Any]
    owner: str
    fence: int = 0
    claims: int = 0
    limit_key: str = ""
    slot: str = ""
    outcome: Outcome = "lost"  # until it is known
    seconds: float = 0.0

    @property
    def number(self) -> int:
        """Of this attempt, from 1. Where deliveries that were given back count (on FIFO queues of AWS), the record
        knows how many were attempts.
        """
        return min(self.message.receives, self.claims) if self.claims else self.message.receives


def job_of(attempt: Attempt) -> CurrentJob:
    """What the task can learn of itself."""
    hold, message = attempt.hold, attempt.message
    return CurrentJob(
        attempt.task.app.name, attempt.task.name, attempt.job, message.queue, attempt.number,
        lambda _: _progressed(hold), (message,),
    )  # fmt: skip


def carry_of(attempt: Attempt) -> tuple[Mapping[str, str], int]:
    """For what follows: attributes (what middleware left, or the trace of the message), and the message's time."""
    job, message = attempt.hold.job, attempt.message
    return job.carry if job is not None and job.carry else trace_of(message.attributes), message.sent_at


def _progressed(hold: Hold) -> None:
    hold.progressed = True
