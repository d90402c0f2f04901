"""The job that runs here: what a task can learn of it, and say about it."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from encola.consumers.transport import Incoming

NOTE_LENGTH_MAX = 500
OUTSIDE = "this is of use within a task only"
NOTHING: Mapping[str, str] = {}


class CurrentJob:
    """The job that runs. Its attributes are for reading; ``progress`` may be called from any thread.

    ``stop_requested`` becomes true when it shall end (timeout, lost lease, cancelled, shutdown): a long loop in a
    thread may look at it. ``share`` and ``note`` are what ``progress`` was told last. ``messages`` are those that it
    runs for: one, or those of a batch. Middleware may set ``carry``: the attributes of messages that follow from it.
    ``began`` is when, in seconds since 1970. ``marks`` are the keys that this attempt marked with ``app.once``.
    """

    __slots__ = (
        "_on_progress", "app", "attempt", "began", "carry", "id", "is_batch", "marks", "messages", "note", "queue",
        "share", "stop_requested", "task",
    )  # fmt: skip

    def __init__(
        self,
        app: str,
        task: str,
        job_id: str,
        queue: str,
        attempt: int,
        on_progress: Callable[["CurrentJob"], None] = lambda job: None,
        messages: "Sequence[Incoming]" = (),
        is_batch: bool = False,
    ) -> None:
        self.app = app
        self.task = task
        self.id = job_id
        self.queue = queue
        self.attempt = attempt
        self.began = time.time()
        self.share = 0.0
        self.note = ""
        self.stop_requested = False
        self.messages = messages
        self.is_batch = is_batch
        self.carry: Mapping[str, str] = NOTHING
        self.marks: list[str] = []
        self._on_progress = on_progress

    def progress(self, share: float, note: str = "") -> None:
        """How far it is, from 0 to 1. Kept beside the job's record, at most about once a second."""
        self.share = min(1.0, max(0.0, float(share)))
        self.note = str(note)[:NOTE_LENGTH_MAX].encode("utf-8", "replace").decode().replace("\0", "\ufffd")
        self._on_progress(self)


current: ContextVar[CurrentJob | None] = ContextVar("encola_current_job", default=None)


def current_job() -> CurrentJob:
    """The job that this code runs for. Raises RuntimeError outside of one."""
    job = current.get()
    if job is None:
        raise RuntimeError(OUTSIDE)
    return job


def progress(share: float, note: str = "") -> None:
    """Tells how far the running job is, from 0 to 1, with a word for people. Outside of a job it does nothing."""
    job = current.get()
    if job is not None:
        job.progress(share, note)
