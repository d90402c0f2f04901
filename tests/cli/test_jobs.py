"""The commands for jobs: list, show, follow, cancel, retry, forget."""

import asyncio
import itertools
import json
import os
import pty
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import moto
import msgspec
import pytest
from typer.testing import CliRunner

import encola as runtime
from encola.cli.main import app as command
from encola.consumers.jobstore import JobStore
from encola.consumers.sqs.client import ServiceClient
from encola.consumers.sqs.transport import SqsTransport
from encola.consumers.stores.dynamodb import DynamoDbJobStore
from encola.consumers.stores.server import ServerJobStore
from encola.consumers.stores.sqlite import SqliteJobStore
from encola.consumers.worker import Worker
from encola.engine import records
from encola.engine.records import Claim, Command, Complete, Fail, Failure, Renew, Reply

from ..process import ENCOLA, KEY, SECRET, ServerProcess, client
from .conftest import Cli

DAY = 86_400_000


class Inside(Cli):
    """Runs commands in this process: a new one for each would take longer than all they do."""

    def run(self, *arguments: str | Path, text: str = "", **environment: str) -> "subprocess.CompletedProcess[str]":
        without = {name: None for name in os.environ if name not in self.environment}
        done = CliRunner().invoke(
            command, [str(one) for one in arguments], input=text, env={**without, **self.environment, **environment}
        )
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return subprocess.CompletedProcess([], done.exit_code, done.stdout, done.stderr)


@pytest.fixture
def encola(server: ServerProcess) -> Cli:
    """The command, led to the server by variables."""
    return Inside(ENCOLA_ENDPOINT=server.url, AWS_ACCESS_KEY_ID=KEY, AWS_SECRET_ACCESS_KEY=SECRET)


@pytest.fixture
def bare() -> Cli:
    """The command without a server."""
    return Inside()


_numbers = itertools.count(1)


def credentials() -> Any:
    frozen = SimpleNamespace(access_key=KEY, secret_key=SECRET, token=None)
    return SimpleNamespace(get_frozen_credentials=lambda: frozen)


@pytest.fixture
def app_name() -> str:
    """An application of the test's own: its records are apart from others'."""
    return f"office{next(_numbers)}"


@pytest.fixture
def apply(server: ServerProcess) -> Callable[..., Sequence[Reply]]:
    """Carries out commands on the server's records."""

    def run(*commands: Command) -> Sequence[Reply]:
        return apply_to(ServerJobStore(ServiceClient(server.url, credentials=credentials())), *commands)

    return run


def apply_to(store: JobStore, *commands: Command) -> Sequence[Reply]:
    async def apply() -> Sequence[Reply]:
        await store.open()
        try:
            return await store.apply(commands)
        finally:
            await store.close()

    return asyncio.run(apply())


def claim(key: str, *, lease: int = 60_000) -> Claim:
    return Claim(key, "me", key.split("/")[1], "reports", "", lease, DAY, worker="host/1")


def failure(key: str, *, final: bool) -> Fail:
    error = Failure(1, int(time.time() * 1000), "ValueError", "no such month", "Traceback:\n  in report", "host/1")
    return Fail(key, "me", 1, DAY, error, final)


def keys(found: list[dict[str, Any]]) -> list[str]:
    return [job["key"] for job in found]


# Looking ----------------------------------------------------------------------------------------------


def test_jobs_are_listed_by_what_they_are(encola: Cli, app_name: str, apply: Any) -> None:
    done, dead, late, runs = (f"{app_name}/{name}" for name in ("report/1", "report/2", "report/3", "mail/4"))
    apply(claim(done), Complete(done, "me", 1, DAY, msgspec.Raw(b'"ok"')))
    apply(claim(dead), failure(dead, final=True), claim(late), failure(late, final=False))
    apply(claim(runs), Renew(runs, "me", 1, 60_000, 0.4, "rendering"))

    assert keys(encola.json("jobs", "list", "--app", app_name)) == [runs, late, dead, done]
    assert keys(encola.json("jobs", "list", "--app", app_name, "--task", "mail")) == [runs]
    assert keys(encola.json("jobs", "list", "--app", app_name, "--queue", "other")) == []
    assert keys(encola.json("jobs", "list", "--app", app_name, "--limit", "2")) == [runs, late]
    some = encola.json("jobs", "list", "--app", app_name, "--state", "dead", "--state", "retrying")
    assert keys(some) == [late, dead]
    table = encola("jobs", "list", "--app", app_name)
    assert all(word in table for word in (runs, "running", "40%", "rendering", "retrying", "ValueError: no such month"))
    assert encola("jobs", "list", "--app", f"{app_name}x") == "no jobs\n"


def test_what_schedules_claim_is_not_listed_as_a_job(encola: Cli, app_name: str, apply: Any) -> None:
    apply(Claim(f"{app_name}/cron/report/20260101T0600Z", "me", "cron", "reports", "", 60_000, DAY))
    job = f"{app_name}/cron/of-a-task-with-that-name"
    apply(claim(job))
    assert keys(encola.json("jobs", "list", "--app", app_name)) == [job]


def test_a_job_is_shown_with_each_error_and_its_traceback(encola: Cli, app_name: str, apply: Any) -> None:
    key = f"{app_name}/report/1"
    apply(claim(key), failure(key, final=False))
    shown = encola("jobs", "show", key)
    assert all(word in shown for word in (key, "retrying", "reports", "ValueError: no such month", "in report"))
    assert encola("jobs", "show", "report/1", "--app", app_name) == shown
    found = encola.json("jobs", "show", key)
    assert (found["state"], found["errors"][0]["type"]) == ("failed", "ValueError")


# Following --------------------------------------------------------------------------------------------


def test_a_job_is_followed_until_it_is_completed(encola: Cli, app_name: str, apply: Any) -> None:
    key = f"{app_name}/report/1"
    with subprocess.Popen(
        [ENCOLA, "jobs", "follow", key], env=encola.environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "queued 0%\n"
        apply(claim(key), Renew(key, "me", 1, 60_000, 0.4, "rendering"))
        assert process.stdout.readline() == "running 40% rendering\n"
        apply(Complete(key, "me", 1, DAY))
        assert process.stdout.read() == "completed 100% rendering\n"
    assert process.returncode == 0


def test_following_ends_with_a_status_that_says_how_the_job_ended(encola: Cli, app_name: str, apply: Any) -> None:
    dead, cancelled, runs = (f"{app_name}/report/{number}" for number in range(3))
    apply(claim(dead), failure(dead, final=True), claim(runs))
    apply(records.Cancel(cancelled, "report", "reports", DAY))
    assert "ValueError: no such month" in encola.refusal("jobs", "follow", dead, status=1)
    encola.refusal("jobs", "follow", cancelled, status=3)
    assert "has not ended after 0 s" in encola.refusal("jobs", "follow", runs, "--timeout", "0", status=4)
    done = encola.run("jobs", "follow", dead, "--json")
    assert (done.returncode, json.loads(done.stdout)["state"], done.stderr) == (1, "dead", "")


def test_on_a_terminal_it_is_followed_as_a_bar(encola: Cli, app_name: str, apply: Any) -> None:
    key = f"{app_name}/report/1"
    apply(claim(key), Renew(key, "me", 1, 60_000, 0.4, "[red]rendering"), Complete(key, "me", 1, DAY))
    ours, theirs = pty.openpty()
    environment = {**encola.environment, "TERM": "xterm"}
    with subprocess.Popen([ENCOLA, "jobs", "follow", key], env=environment, stdout=theirs) as process:
        os.close(theirs)
        shown = b""
        with open(ours, "rb", closefd=True, buffering=0) as stream:
            try:
                while part := stream.read(1000):
                    shown += part
            except OSError:  # how a terminal says that its other side is closed
                pass
    assert process.returncode == 0
    assert all(word in shown.decode() for word in ("completed", "━", "100%", "[red]rendering"))


# Cancelling and forgetting ----------------------------------------------------------------------------


def test_a_job_is_cancelled_before_and_while_it_runs(encola: Cli, app_name: str, apply: Any) -> None:
    waits, runs, done = (f"{app_name}/report/{number}" for number in range(3))
    assert encola("jobs", "cancel", "report/0", "--app", app_name) == "cancelled\n"
    assert encola.json("jobs", "show", waits)["state"] == "cancelled"
    assert apply(claim(waits)) == [records.Dead()]

    apply(claim(runs), claim(done), Complete(done, "me", 1, DAY))
    assert encola("jobs", "cancel", runs).startswith("it runs: its worker stops it")
    assert apply(Renew(runs, "me", 1, 60_000)) == [records.Held(cancelled=True)]
    assert "to be cancelled" in encola("jobs", "show", runs)
    assert "it is completed" in encola.refusal("jobs", "cancel", done)


def test_a_forgotten_job_may_run_again(encola: Cli, app_name: str, apply: Any) -> None:
    done, runs = f"{app_name}/report/1", f"{app_name}/report/2"
    apply(claim(done), Complete(done, "me", 1, DAY), claim(runs))
    asked = encola.run("jobs", "forget", done, text="n\n")
    assert (asked.returncode, encola.json("jobs", "show", done)["state"]) == (1, "completed")
    assert encola("jobs", "forget", done, "--yes") == "forgotten\n"
    assert isinstance(apply(claim(done))[0], records.Run)
    assert "it runs" in encola.refusal("jobs", "forget", runs, "--yes")


# Retrying ---------------------------------------------------------------------------------------------


class Office:
    """An application whose one task fails until ``mended``, and a worker that works off its queue."""

    def __init__(self, name: str, url: str, queue: str) -> None:
        self.app = runtime.App(name, transport=lambda: SqsTransport(url, credentials=credentials()))
        self.mended = False
        self.ran: list[str] = []

        @self.app.task(queue=queue, key="{month}", retries=0)
        def report(month: str) -> str:
            if not self.mended:
                raise ValueError("no such month")
            self.ran.append(month)
            return f"report of {month}"

        self.report = report

    def work_off(self, *jobs: runtime.Job[Any], until: Sequence[str] = ("completed", "dead")) -> list[str]:
        """Runs a worker until these jobs have ended; how they did."""

        async def work() -> list[str]:
            worker = Worker(self.app, concurrency=4)
            running = asyncio.create_task(worker.run())
            try:
                for job in jobs:
                    while await job.astatus() not in until:
                        await asyncio.sleep(0.02)
                return [await job.astatus() for job in jobs]
            finally:
                worker.stop()
                await running

        return asyncio.run(work())


@pytest.fixture
def office(server: ServerProcess, app_name: str) -> Any:
    made = Office(app_name, server.url, f"reports-{app_name}")
    made.work_off()  # a worker makes its queues
    yield made
    made.app.close()


def waiting(url: str, queue: str) -> list[tuple[str, str]]:
    """Bodies and receive counts of all messages that can be received."""
    sqs = client(url)
    address = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    answer = sqs.receive_message(
        QueueUrl=address, MaxNumberOfMessages=10, VisibilityTimeout=0, AttributeNames=["ApproximateReceiveCount"]
    )
    found = answer.get("Messages", ())
    return [(json.loads(one["Body"])["job"], one["Attributes"]["ApproximateReceiveCount"]) for one in found]


def test_a_dead_job_is_tried_again_and_the_others_stay_where_they_are(
    encola: Cli, server: ServerProcess, office: Office, app_name: str
) -> None:
    jobs = office.report.send_many([(f"2026-{month}",) for month in (10, 11, 12)])
    assert office.work_off(*jobs) == ["dead"] * 3

    office.mended = True
    said = encola("jobs", "retry", jobs[1].record_key)
    assert f"moved from reports-{app_name}-dead to reports-{app_name}" in said
    left = waiting(server.url, f"reports-{app_name}-dead")
    assert sorted(left) == [(jobs[0].id, "1"), (jobs[2].id, "1")]  # this look counts; those of the command did not
    assert office.work_off(jobs[1], until=("completed",)) == ["completed"]
    assert (jobs[1].result(0), office.ran) == ("report of 2026-11", ["2026-11"])


def test_a_job_whose_message_is_not_there_is_not_tried_again(
    encola: Cli, server: ServerProcess, office: Office, app_name: str, apply: Any
) -> None:
    (job,) = office.report.send_many([("2026-10",)])
    assert office.work_off(job) == ["dead"]
    encola("purge", f"reports-{app_name}-dead", "--yes")
    assert f"no message of {job.record_key} is on reports-{app_name}-dead" in encola.refusal(
        "jobs", "retry", job.id, "--app", app_name
    )
    done, runs = f"{app_name}/report/done", f"{app_name}/report/runs"
    apply(claim(done), Complete(done, "me", 1, DAY), claim(runs))
    assert "is completed" in encola.refusal("jobs", "retry", done)
    assert "runs now" in encola.refusal("jobs", "retry", runs)


# Elsewhere --------------------------------------------------------------------------------------------


def test_records_in_a_file_are_looked_at_in_the_same_way(bare: Cli, tmp_path: Path) -> None:
    key = "office/report/1"
    file = tmp_path / "jobs.db"
    apply_to(SqliteJobStore(file), claim(key), failure(key, final=True))
    assert keys(bare.json("jobs", "list", "--store", f"sqlite:{file}")) == [key]
    bare("jobs", "forget", key, "--yes", "--store", f"sqlite:{file}")
    assert bare("jobs", "list", "--store", f"sqlite:{file}") == "no jobs\n"
    assert "there is no file" in bare.refusal("jobs", "list", "--store", f"sqlite:{file}x")


def test_records_in_dynamodb_are_looked_at_in_the_same_way(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    with moto.mock_aws():
        store = DynamoDbJobStore("jobs", region="eu-west-1")

        async def prepare() -> None:
            await store.create_table()
            await store.open()
            await store.apply([claim("office/report/1")])
            await store.close()

        asyncio.run(prepare())
        done = CliRunner().invoke(
            command, ["jobs", "list", "--store", "dynamodb:jobs", "--region", "eu-west-1", "--json"]
        )
    assert done.exit_code == 0, done.output
    assert keys(json.loads(done.output)) == ["office/report/1"]


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("list", "--endpoint", "aws"), 1, "keeps no records"),
        (("list", "--endpoint", "http://127.0.0.1:1"), 1, "no answer"),
        (("list", "--store", "postgresql://127.0.0.1:1/none"), 1, "PostgreSQL"),
        (("list", "--store", "redis:"), 2, "--store"),
        (("list", "--state", "asleep"), 2, "asleep"),
        (("show", "office/report/nothing"), 1, "no record of a job office/report/nothing"),
        (("cancel", "report"), 1, "APPLICATION/TASK/"),
    ],
)
def test_errors_of_jobs_are_said_in_words(encola: Cli, arguments: tuple[str, ...], status: int, said: str) -> None:
    assert said in encola.refusal("jobs", *arguments, status=status)
