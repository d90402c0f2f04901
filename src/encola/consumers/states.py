"""What people call the states of records, and which records are jobs of people. Pure; the command line and the pages
say the same.
"""

from typing import Literal

from encola.engine.records import Job, JobState

Status = Literal["queued", "running", "retrying", "completed", "dead", "cancelled"]
"""``queued`` is a job without a record: it waits, or is not known (any more). ``retrying`` waits for its next
attempt.
"""

KEPT_AS: dict[str, JobState] = {
    "running": "running",
    "retrying": "failed",
    "completed": "completed",
    "dead": "dead",
    "cancelled": "cancelled",
}
"""The states that lists can be limited to, and what records call them."""

CANCEL_WINDOW = 15 * 86_400_000
"""A message may be delayed for 14 days: till then it must be known that its job was cancelled."""

CLAIMS_OF_CRON = "cron"


def status_of(record: Job | None) -> Status:
    """What people call the state of a record."""
    if record is None:
        return "queued"
    if record.state == "failed":
        return "retrying" if record.attempts else "queued"
    return record.state


def is_claim_of_cron(job: Job) -> bool:
    """Is it what a schedule claims for itself (``APPLICATION/cron/NAME/MOMENT``), and no job of people?"""
    return job.task == CLAIMS_OF_CRON and job.key.split("/")[1:2] == [CLAIMS_OF_CRON] and job.key.count("/") > 2
