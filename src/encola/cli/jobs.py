"""``encola jobs``: what became of jobs, and what to do about it. See ``records`` for where it looks."""

import asyncio
import time
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from encola.cli import client as sqs
from encola.cli import records
from encola.cli.output import print_json, print_table

if TYPE_CHECKING:
    from encola.consumers.jobstore import JobStore
    from encola.engine.records import Job, JobState

app = typer.Typer(help="List jobs with their state; show, follow, cancel, retry and forget them.", no_args_is_help=True)


class State(StrEnum):
    """What people call the states of records (see ``consumers.states``)."""

    RUNNING = "running"
    RETRYING = "retrying"
    COMPLETED = "completed"
    DEAD = "dead"
    CANCELLED = "cancelled"


PAGE = 200
LOOK_SECONDS = 0.25

STATUS_DEAD = 1
STATUS_CANCELLED = 3
STATUS_NOT_ENDED = 4


@app.command("list")
def list_(
    application: records.Application = None,
    task: Annotated[str | None, typer.Option("--task", help="Only of this task.")] = None,
    queue: Annotated[str | None, typer.Option("--queue", "-q", help="Only from this queue.")] = None,
    state: Annotated[list[State] | None, typer.Option("--state", help="Only these (repeatable).")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="At most so many.")] = 20,
    store: records.Store = None,
    endpoint: sqs.Endpoint = sqs.DEFAULT_ENDPOINT,
    profile: sqs.Profile = None,
    region: sqs.Region = None,
    as_json: sqs.AsJson = False,
) -> None:
    """List jobs that have begun, the newest change first. Jobs that wait for their first attempt have no record."""
    from encola.consumers.states import KEPT_AS

    prefix = f"{application}/" if application else ""
    states = tuple(KEPT_AS[one] for one in state or ())

    async def find(store: "JobStore") -> "list[Job]":
        return await _find(store, prefix, task, queue, states, limit)

    found = records.ask(find, store, endpoint, profile, region)
    if as_json:
        print_json(found)
    elif found:
        print_table(records.COLUMNS, [records.row(job) for job in found])
    else:
        typer.echo("no jobs")


async def _find(
    store: "JobStore", prefix: str, task: str | None, queue: str | None, states: "tuple[JobState, ...]", limit: int
) -> "list[Job]":
    """Page by page. What schedules claim for themselves is left out: those are no jobs of people."""
    from encola.consumers.jobstore import JobQuery
    from encola.consumers.states import is_claim_of_cron

    found: list[Job] = []
    before: tuple[int, str] | None = None
    while len(found) < limit:
        query = JobQuery(prefix=prefix, task=task, queue=queue, states=states, before=before, limit=PAGE)
        page = await store.find(query)
        found += [job for job in page if task is not None or not is_claim_of_cron(job)]
        if len(page) < PAGE:
            break
        before = (page[-1].updated_at, page[-1].key)
    return found[:limit]


@app.command()
def show(
    job: records.JobName,
    application: records.Application = None,
    store: records.Store = None,
    endpoint: sqs.Endpoint = sqs.DEFAULT_ENDPOINT,
    profile: sqs.Profile = None,
    region: sqs.Region = None,
    as_json: sqs.AsJson = False,
) -> None:
    """Show all that is known of a job, with the error and the traceback of each attempt."""
    found = records.ask(lambda kept: records.must_find(kept, job, application), store, endpoint, profile, region)
    if as_json:
        print_json(found)
        return
    print_table(("", "value"), _facts(found))
    for error in found.errors:
        who = f" on {error.worker}" if error.worker else ""
        typer.echo(f"attempt {error.attempt}, {records.moment(error.at) or '-'}{who}: {error.type}: {error.message}")
        if error.traceback:
            typer.echo("".join(f"    {line}\n" for line in error.traceback.splitlines()))


def _facts(job: "Job") -> list[tuple[str, Any]]:
    from encola.consumers.states import status_of

    return [
        ("job", job.key),
        ("status", status_of(job) + (", to be cancelled" if job.cancelled and job.state == "running" else "")),
        ("task", job.task),
        ("queue", job.queue),
        ("attempts", job.attempts),
        ("progress", f"{job.progress:.0%} {job.note}".rstrip()),
        ("result", bytes(job.result).decode() or None),
        ("worker", job.worker or None),
        ("first seen", records.moment(job.created_at)),
        ("started", records.moment(job.started_at)),
        ("changed", records.moment(job.updated_at)),
        ("finished", records.moment(job.finished_at)),
        ("lease until", records.moment(job.lease_until)),
        ("kept until", records.moment(job.expires_at)),
    ]


@app.command()
def follow(
    job: records.JobName,
    timeout: Annotated[float | None, typer.Option("--timeout", min=0, help="Seconds to follow it at most.")] = None,
    application: records.Application = None,
    store: records.Store = None,
    endpoint: sqs.Endpoint = sqs.DEFAULT_ENDPOINT,
    profile: sqs.Profile = None,
    region: sqs.Region = None,
    as_json: sqs.AsJson = False,
) -> None:
    """Follow a job until it ends. Exit status 0: completed, 1: dead, 3: cancelled, 4: not ended in time."""
    from encola.cli.following import Display, Silence

    with Silence() if as_json else Display(records.keys_of(job, application)[0]) as display:

        async def watch(kept: "JobStore") -> "Job | None":
            end = None if timeout is None else time.monotonic() + timeout
            while True:
                found = await records.look(kept, job, application)
                display.update(found)
                if found is not None and found.state in ("completed", "dead", "cancelled"):
                    return found
                if end is not None and time.monotonic() >= end:
                    return None
                await asyncio.sleep(LOOK_SECONDS)

        ended = records.ask(watch, store, endpoint, profile, region)
    if as_json:
        print_json(ended)
    if ended is None:
        typer.echo(f"encola: {job} has not ended after {timeout:g} s", err=True)
        raise typer.Exit(STATUS_NOT_ENDED)
    if ended.state == "dead" and not as_json:
        last = ended.errors[-1] if ended.errors else None
        typer.echo(f"encola: {last.type}: {last.message}" if last else "encola: it failed for good", err=True)
    if ended.state != "completed":
        raise typer.Exit(STATUS_CANCELLED if ended.state == "cancelled" else STATUS_DEAD)


@app.command()
def cancel(
    job: records.JobName,
    application: records.Application = None,
    store: records.Store = None,
    endpoint: sqs.Endpoint = sqs.DEFAULT_ENDPOINT,
    profile: sqs.Profile = None,
    region: sqs.Region = None,
) -> None:
    """Cancel a job: it does not begin any more, or is stopped as soon as its worker hears of it."""
    from encola.consumers.states import CANCEL_WINDOW
    from encola.engine.records import Cancel, Cancelled

    async def apply(kept: "JobStore") -> str:
        found = await records.look(kept, job, application)
        key = found.key if found else records.keys_of(job, application)[0]
        named = key.split("/")
        if len(named) < 3:
            raise sqs.ended(f"{key} has no record; name it as APPLICATION/TASK/..., or give --app")
        command = Cancel(key, found.task if found else named[1], found.queue if found else "", CANCEL_WINDOW)
        (reply,) = await kept.apply([command])
        return reply.state if isinstance(reply, Cancelled) else "running"

    state = records.ask(apply, store, endpoint, profile, region)
    if state in ("completed", "dead"):
        raise sqs.ended(f"it is {state}: there is nothing to cancel")
    typer.echo("cancelled" if state == "cancelled" else "it runs: its worker stops it when it next renews its lease")


@app.command()
def retry(
    job: records.JobName,
    application: records.Application = None,
    store: records.Store = None,
    endpoint: sqs.Endpoint = sqs.DEFAULT_ENDPOINT,
    profile: sqs.Profile = None,
    region: sqs.Region = None,
) -> None:
    """Move the message of a job that failed for good from the dead-letter queue back to its queue."""
    from encola.cli.dead_letters import DeadLetters, NotThereError

    found = records.ask(lambda kept: records.must_find(kept, job, application), store, endpoint, profile, region)
    if found.state in ("completed", "cancelled"):
        raise sqs.ended(f"{found.key} is {found.state}: there is nothing to try again")
    if found.state == "running" and found.lease_until > time.time() * 1000:
        raise sqs.ended(f"{found.key} runs now")
    client = sqs.connect(endpoint, profile, region)
    with sqs.errors_told():
        try:
            letters = DeadLetters(client, found.queue, is_encola=endpoint != sqs.AWS and _is_encola(client))
            message = letters.move_back(found)
        except NotThereError as error:
            waits = "it is tried again by itself" if found.state == "failed" else "nothing was done"
            raise sqs.ended(f"{error}: {waits}") from None
    typer.echo(f"its message was moved from {letters.name} to {found.queue}, as {message}: its attempts begin anew")


def _is_encola(client: Any) -> bool:
    from botocore.exceptions import ClientError

    try:
        return bool(sqs.call(client, "DescribeServer", {}).get("Name") == "encola")
    except ClientError:
        return False


@app.command()
def forget(
    job: records.JobName,
    application: records.Application = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    store: records.Store = None,
    endpoint: sqs.Endpoint = sqs.DEFAULT_ENDPOINT,
    profile: sqs.Profile = None,
    region: sqs.Region = None,
) -> None:
    """Remove the record of a job that does not run: its result and errors are gone, and its key may be used anew."""
    from encola.engine.records import Forget, Held

    async def apply(kept: "JobStore") -> bool:
        found = await records.must_find(kept, job, application)
        if not yes:
            typer.confirm(f"Forget {found.key}, which is {found.state}? It may run a second time.", abort=True)
        (reply,) = await kept.apply([Forget(found.key)])
        return isinstance(reply, Held)

    if not records.ask(apply, store, endpoint, profile, region):
        raise sqs.ended("it runs: cancel it first")
    typer.echo("forgotten")
