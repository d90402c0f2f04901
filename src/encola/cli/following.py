"""A job that is followed, on a terminal as a bar that moves, elsewhere as a line for each change."""

from types import TracebackType
from typing import TYPE_CHECKING, Protocol

import typer

from encola.cli.output import shortened

if TYPE_CHECKING:
    from typing import Self

    from encola.engine.records import Job

NOTE_LENGTH = 60


class Shown(Protocol):
    """Used in a ``with`` statement; told of the job again and again."""

    def __enter__(self) -> "Self": ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def update(self, job: "Job | None") -> None: ...


class Silence:
    """Shows nothing."""

    def __enter__(self) -> "Self":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def update(self, job: "Job | None") -> None:
        pass


class Display:
    """See the module. ``name`` is the job's."""

    def __init__(self, name: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
        from rich.text import Text

        console = Console()
        self._last: tuple[str, float, str] | None = None
        self._lines = not console.is_terminal
        self._progress = Progress(
            TextColumn("{task.fields[status]}", markup=False),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=console,
            disable=self._lines,
        )
        if not self._lines:
            console.print(Text(name))
        self._bar = self._progress.add_task("", total=1.0, status="queued", note="")

    def __enter__(self) -> "Self":
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def update(self, job: "Job | None") -> None:
        """Shows how the job stands, if that is news."""
        from encola.consumers.states import status_of

        status = status_of(job)
        share, note = (job.progress, shortened(job.note, NOTE_LENGTH)) if job else (0.0, "")
        if job is not None and status == "retrying":
            note = f"after attempt {job.attempts}: {shortened(job.errors[-1].type, NOTE_LENGTH)}" if job.errors else ""
        if (status, share, note) == self._last:
            return
        self._last = (status, share, note)
        if self._lines:
            typer.echo(f"{status} {share:.0%} {note}".rstrip())
        else:
            self._progress.update(self._bar, completed=share, status=status, note=note)
