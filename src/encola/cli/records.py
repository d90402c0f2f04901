"""The records of jobs behind ``encola jobs``: a server's, or those in a database of the application's own."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from encola.cli import client as sqs
from encola.cli.output import shortened

if TYPE_CHECKING:
    from encola.consumers.jobstore import JobStore
    from encola.engine.records import Job

Result = TypeVar("Result")

STORE_HELP = "Where records are if the server keeps none: postgresql://..., dynamodb:TABLE or sqlite:PATH."
Store = Annotated[str | None, typer.Option("--store", help=STORE_HELP)]
Application = Annotated[str | None, typer.Option("--app", help="Name of the application.")]
JobName = Annotated[
    str, typer.Argument(help="APPLICATION/JOB-ID as `jobs list` shows it; with --app, the job's id.", metavar="JOB")
]

COLUMNS = ("job", "status", "attempts", "progress", "queue", "changed", "says")


def ask(
    use: Callable[["JobStore"], Awaitable[Result]],
    store: str | None,
    endpoint: str,
    profile: str | None,
    region: str | None,
) -> Result:
    """What ``use`` answers of an open store. What goes wrong becomes one line and exit status 1."""
    from encola.consumers.jobstore import JobStoreError
    from encola.consumers.transport import TransportError

    async def asked() -> Result:
        opened = _store(store, endpoint, profile, region)
        await opened.open()
        try:
            return await use(opened)
        finally:
            await opened.close()

    try:
        return asyncio.run(asked())
    except (JobStoreError, TransportError, ValueError) as error:
        raise sqs.ended(str(error)) from None


def _store(store: str | None, endpoint: str, profile: str | None, region: str | None) -> "JobStore":
    """Raises typer.Exit."""
    if store is None:
        if endpoint == sqs.AWS:
            raise sqs.ended("Amazon SQS keeps no records: say with --store where they are")
        from encola.consumers.sqs.client import ServiceClient
        from encola.consumers.stores.server import ServerJobStore

        return ServerJobStore(ServiceClient(endpoint, region, profile))
    kind, _, where = store.partition(":")
    if kind in ("postgresql", "postgres"):
        from encola.consumers.stores.postgres import PostgresJobStore

        return PostgresJobStore(store)
    if kind == "dynamodb" and where:
        return _dynamodb(where, profile, region)
    if kind == "sqlite" and where:
        from encola.consumers.stores.sqlite import SqliteJobStore

        if not Path(where).is_file():
            raise sqs.ended(f"there is no file {where}")
        return SqliteJobStore(where)
    raise typer.BadParameter("must be postgresql://..., dynamodb:TABLE or sqlite:PATH", param_hint="--store")


def _dynamodb(table: str, profile: str | None, region: str | None) -> "JobStore":
    import botocore.session
    from botocore.exceptions import BotoCoreError

    from encola.consumers.stores.dynamodb import DynamoDbJobStore

    try:
        client = botocore.session.Session(profile=profile).create_client("dynamodb", region_name=region)
    except BotoCoreError as error:
        raise sqs.ended(str(error)) from None
    return DynamoDbJobStore(table, client=client)


# Which record -----------------------------------------------------------------------------------------


def keys_of(job: str, app: str | None) -> list[str]:
    """The keys under which a job that was named so may be found, the likeliest first."""
    return [f"{app}/{job}", job] if app and not job.startswith(f"{app}/") else [job]


async def look(store: "JobStore", job: str, app: str | None) -> "Job | None":
    """The record of a job, if there is one. Raises JobStoreError."""
    keys = keys_of(job, app)
    return next((found for found in await store.get(keys) if found is not None), None)


async def must_find(store: "JobStore", job: str, app: str | None) -> "Job":
    """As ``look``; a job without a record ends the command."""
    found = await look(store, job, app)
    if found is None:
        raise sqs.ended(f"no record of a job {keys_of(job, app)[0]}: it waits for its first attempt, or is forgotten")
    return found


# For people -------------------------------------------------------------------------------------------


def moment(instant: int) -> str | None:
    """A time in milliseconds, to the second, in UTC."""
    return datetime.fromtimestamp(instant / 1000, UTC).isoformat(" ", "seconds")[:19] if instant else None


def row(job: "Job") -> tuple[Any, ...]:
    """A job in a table with ``COLUMNS``."""
    from encola.consumers.states import status_of

    says = job.note
    if job.errors and job.state in ("failed", "dead"):
        says = f"{job.errors[-1].type}: {job.errors[-1].message}"
    return (
        job.key,
        status_of(job),
        job.attempts,
        f"{job.progress:.0%}",
        job.queue,
        moment(job.updated_at),
        shortened(says, 60),
    )
