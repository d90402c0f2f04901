"""Looks for jobs as a page has it: by state, names and free text, for as long as a page may take.

The store knows state, task, queue and key; text is looked for here, in what a job says. A look ends with a page that is
full, with the last job, or when its time is over; then it says how far it came, so that another can go on from there.
"""

import time
from collections.abc import AsyncGenerator

import msgspec

from encola.broker.records import Records
from encola.consumers.states import KEPT_AS, is_claim_of_cron
from encola.dashboard.fields import Fields
from encola.engine.message import Instant
from encola.engine.records import KEY_LENGTH_MAX, Job, JobSearch, JobState

CHUNK = 200
SECONDS = 0.5
TEXT_LENGTH_MAX = 200

Place = tuple[Instant, str]
"""Where a list goes on: behind the job that was changed then and has this key."""


class JobFilter(msgspec.Struct):
    """What is asked for, as it is in the address. ``prefix`` is of the key: an application, or more of it."""

    state: str = ""
    prefix: str = ""
    task: str = ""
    queue: str = ""
    text: str = ""

    @classmethod
    def of(cls, query: Fields) -> "JobFilter":
        """What an address asks for; a state that is none means all."""
        state = query.text("state")
        return cls(
            state if state in KEPT_AS else "",
            query.text("prefix")[:KEY_LENGTH_MAX],
            query.text("task"),
            query.text("queue"),
            query.text("text")[:TEXT_LENGTH_MAX],
        )

    @property
    def states(self) -> tuple[JobState, ...]:
        return (KEPT_AS[self.state],) if self.state else ()

    @property
    def narrow(self) -> bool:
        """Is more asked for than a state?"""
        return bool(self.prefix or self.task or self.queue or self.text)

    def said(self) -> str:
        """In one line, for the audit log."""
        return ", ".join(f"{name}={value}" for name, value in msgspec.structs.asdict(self).items() if value)


class FoundPage(msgspec.Struct):
    """``next`` is where the next page begins; ``stopped``: time was over before the page was full."""

    jobs: list[Job]
    next: Place | None = None
    stopped: bool = False


async def search(
    records: Records, account: str, wanted: JobFilter, before: Place | None, rows: int, seconds: float = SECONDS
) -> FoundPage:
    """A page of jobs, the newest change first. Raises StoreError."""
    end = time.monotonic() + seconds
    kept: list[Job] = []
    async for jobs, behind in chunks(records, account, wanted, before, rows + 1):
        kept += jobs
        if len(kept) > rows:
            last = kept[rows - 1]
            return FoundPage(kept[:rows], (last.updated_at, last.key))
        if behind is not None and time.monotonic() > end:
            return FoundPage(kept, behind, stopped=True)
    return FoundPage(kept)


async def chunks(
    records: Records, account: str, wanted: JobFilter, before: Place | None = None, rows: int = CHUNK
) -> AsyncGenerator[tuple[list[Job], Place | None], None]:
    """All jobs that fit, in chunks that may be empty, each with where the next one begins. Raises StoreError.

    What schedules claim for themselves is left out, unless a task is asked for: those are no jobs of people.
    """
    text = wanted.text.lower()
    limit = CHUNK if text else min(rows, CHUNK)
    while True:
        asked = JobSearch(
            prefix=wanted.prefix,
            task=wanted.task or None,
            queue=wanted.queue or None,
            states=wanted.states,
            before=before,
            limit=limit,
        )
        found = await records.find(account, asked)
        fitting = [job for job in found.jobs if wanted.task or not is_claim_of_cron(job)]
        yield [job for job in fitting if not text or _says(job, text)], found.next
        if found.next is None:
            return
        before = found.next


def _says(job: Job, text: str) -> bool:
    """Is it in the key, the note, an error or the result?"""
    if text in job.key.lower() or text in job.note.lower():
        return True
    if any(text in f"{one.type}: {one.message}".lower() for one in job.errors):
        return True
    return text in bytes(job.result).decode("utf-8", "replace").lower()


def place_of(text: str) -> Place | None:
    """Reads a place from an address; what is none means the beginning."""
    at, tilde, key = text.partition("~")
    if not (tilde and at.isascii() and at.isdigit() and len(at) <= 15):
        return None
    return int(at), key


def text_of(place: Place | None) -> str:
    """A place as an address has it."""
    return f"{place[0]}~{place[1]}" if place else ""
