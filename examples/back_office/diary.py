"""What the processes of the example write down, so that it can tell what happened to whom."""

import json
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import encola


class Diary(encola.Middleware):
    """Notes the beginning and the end of each attempt, with the process in which it runs."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def running(
        self, job: encola.CurrentJob, attributes: Mapping[str, str], call_next: Callable[[], Awaitable[Any]]
    ) -> Any:
        self._note("began", job)
        try:
            result = await call_next()
        except encola.AlreadyDone:
            self._note("known", job)
            raise
        except BaseException:
            self._note("failed", job)
            raise
        self._note("made", job)
        return result

    def _note(self, event: str, job: encola.CurrentJob) -> None:
        line = json.dumps({"event": event, "job": job.id, "attempt": job.attempt, "pid": os.getpid()})
        with self._path.open("a") as file:  # one write, appended: lines of several processes do not mix
            file.write(line + "\n")
