"""``encola work``: a pull worker."""

import logging
import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from encola.consumers.process import WorkOptions

LOG_FORMAT = "%(asctime)s %(levelname)-7s %(message)s"


def work(
    app: Annotated[str, typer.Argument(help="The application, as module:name.", metavar="MODULE:APP")],
    queue: Annotated[list[str] | None, typer.Option("--queue", "-q", help="Only this queue (repeatable).")] = None,
    concurrency: Annotated[
        int, typer.Option("--concurrency", "-c", min=1, max=1000, help="Jobs at a time in each process.")
    ] = 32,
    processes: Annotated[int, typer.Option("--processes", "-p", min=1, max=256, help="Worker processes.")] = 1,
    grace: Annotated[float, typer.Option("--grace", min=0, help="Seconds that jobs may finish in after SIGTERM.")] = 30,
    max_jobs: Annotated[int | None, typer.Option("--max-jobs", min=1, help="Renew a process after so many.")] = None,
    max_memory: Annotated[
        int | None, typer.Option("--max-memory", min=1, help="Renew a process above so many MiB.", metavar="MIB")
    ] = None,
    reload: Annotated[bool, typer.Option("--reload", help="Development: start anew when the code changes.")] = False,
    status_port: Annotated[
        int | None, typer.Option("--status-port", min=0, max=65535, help="Serve /live, /status, /metrics here.")
    ] = None,
    endpoint: Annotated[
        str | None,
        typer.Option("--endpoint", "-e", help="URL of the queue service, or 'aws'.", envvar="ENCOLA_ENDPOINT"),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log more.")] = False,
    child: Annotated[bool, typer.Option("--child", hidden=True)] = False,
) -> None:
    """Run an application's tasks: fetch messages, run them, stop without losing any."""
    from encola.consumers.process import WorkOptions, run

    level = logging.DEBUG if verbose else logging.INFO
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT)  # of the application, too: its tasks log here
    logging.getLogger("encola").setLevel(level)
    if endpoint:
        os.environ["ENCOLA_ENDPOINT"] = endpoint
    options = WorkOptions(
        app=app,
        queues=tuple(queue or ()),
        concurrency=concurrency,
        grace=grace,
        max_jobs=max_jobs,
        max_memory=max_memory,
        status_port=status_port,
    )
    alone = processes == 1 and not reload and max_jobs is None and max_memory is None
    if alone or child:
        raise typer.Exit(run(options))
    if status_port is not None and processes > 1:
        raise typer.BadParameter("several processes cannot share one --status-port")
    raise typer.Exit(_supervise(options, processes, watched=(os.getcwd(),) if reload else (), verbose=verbose))


def _supervise(options: "WorkOptions", processes: int, watched: tuple[str, ...], *, verbose: bool) -> int:
    from encola.consumers.supervisor import Supervisor

    command = [sys.executable, "-m", "encola", "work", options.app, "--child"]
    command += [part for queue in options.queues for part in ("--queue", queue)]
    command += ["--concurrency", str(options.concurrency), "--grace", str(options.grace)]
    for flag, value in (
        ("--max-jobs", options.max_jobs),
        ("--max-memory", options.max_memory),
        ("--status-port", options.status_port),
    ):
        command += [flag, str(value)] if value is not None else []
    command += ["--verbose"] if verbose else []
    return Supervisor(command, processes, options.grace, watched).run()
