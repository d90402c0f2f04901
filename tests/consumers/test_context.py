"""What a task can learn of its own job, and say about it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import encola
from encola.consumers.context import NOTE_LENGTH_MAX, CurrentJob, current
from encola.testing import Inline


def test_outside_of_a_job_there_is_none_and_progress_does_nothing() -> None:
    encola.progress(0.5, "nobody listens")
    with pytest.raises(RuntimeError, match="this is of use within a task only"):
        encola.current_job()
    assert current.get() is None


@given(st.floats(allow_nan=False), st.text(alphabet=st.characters(codec=None)))
def test_progress_is_kept_between_nothing_and_all_and_its_note_is_cut(share: float, note: str) -> None:
    heard: list[float] = []
    job = CurrentJob("a", "t", "t/1", "q", 1, on_progress=lambda job: heard.append(job.share))
    job.progress(share, note)
    assert heard == [min(1.0, max(0.0, share))]
    assert len(job.note) <= NOTE_LENGTH_MAX
    job.note.encode()


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_task_knows_its_job_and_attempt(kind: str) -> None:
    app = encola.App("selves")
    seen: list[Any] = []

    def look() -> None:
        job = encola.current_job()
        seen.append((job.app, job.task, job.id, job.queue, job.attempt, job.stop_requested, len(job.messages)))
        if job.attempt == 1:
            raise ValueError("again")

    async def look_async() -> None:
        look()

    task = app.task(queue="q", name="look", key="one")(look if kind == "sync" else look_async)
    with Inline(app) as run:
        task.send()
        run.advance(minutes=1)
    assert seen == [("selves", "look", "look/one", "q", attempt, False, 1) for attempt in (1, 2)]
    assert current.get() is None
