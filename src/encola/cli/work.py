"""``encola work``: a pull worker."""

import os
from typing import Annotated

import typer

from encola.cli import application


def work(
    app: application.Application,
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
    endpoint: application.Endpoint = None,
    verbose: application.Verbose = False,
) -> None:
    """Run an application's tasks: fetch messages, run them, stop without losing any."""
    from encola.consumers.process import WorkOptions, begin_logging, command_of

    application.lead_to(endpoint)
    if status_port is not None and processes > 1:
        raise typer.BadParameter("several processes cannot share one --status-port")
    several = processes > 1 or reload or max_jobs is not None or max_memory is not None  # at least one after the other
    options = WorkOptions(
        app=app,
        endpoint=endpoint,
        queues=tuple(queue or ()),
        concurrency=concurrency,
        grace=grace,
        max_jobs=max_jobs,
        max_memory=max_memory,
        status_port=status_port,
        verbose=verbose,
        supervisor=os.getpid() if several else None,
    )
    command = command_of(options)
    if not several:
        os.execv(command[0], command)  # noqa: S606 - in place: a worker needs nothing of the command line's libraries
    from encola.consumers.supervisor import Supervisor

    begin_logging(verbose=verbose)
    raise typer.Exit(Supervisor(command, processes, grace, (os.getcwd(),) if reload else ()).run())
