"""The list of workers over HTTP: reports, pages, wishes to stop, what is refused, and who may do what."""

import json
from typing import Any

import pytest

from encola.broker.workers import Workers
from encola.engine.workers import QUEUES_MAX, RUNNING_MAX, SILENCE_MAX, WORKERS_MAX
from encola.protocols.aws.credentials import identity_of
from encola.protocols.aws.identity import Authenticator, Credential
from encola.protocols.aws.json_endpoint import may
from encola.protocols.http.message import Request, Response
from encola.protocols.workers.endpoint import ACTIONS, LISTED_MAX, STATUSES, WorkersEndpoint
from encola.server.config import Config
from encola.testing import EncolaServer
from tests.process import client

from ...broker.conftest import TestClock
from ..aws.signer import NOW, signed

ACCOUNT = "111122223333"


class Caller:
    """Everybody is let in; the access key names the account."""

    def __init__(self, endpoint: WorkersEndpoint, account: str = ACCOUNT) -> None:
        self.endpoint = endpoint
        self.account = account

    async def ask(self, operation: str, body: bytes, method: str = "POST") -> Response:
        scope = f"{self.account}/20260101/us-east-1/sqs/aws4_request"
        headers = {
            "x-amz-target": f"EncolaWorkers.{operation}",
            "authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0",
        }
        return await self.endpoint.handle(Request(method, "/", headers, body))

    async def __call__(self, operation: str, **given: Any) -> dict[str, Any]:
        answer = await self.ask(operation, json.dumps(given).encode())
        assert answer.status == 200, answer.body
        found: dict[str, Any] = json.loads(answer.body)
        return found

    async def refusal(self, operation: str, body: bytes, method: str = "POST") -> tuple[int, str, str]:
        """Status, code and text."""
        answer = await self.ask(operation, body, method)
        told = json.loads(answer.body)
        return answer.status, told["__type"].removeprefix("encola.workers#"), told["message"]


@pytest.fixture
def clock() -> TestClock:
    return TestClock()


@pytest.fixture
def caller(clock: TestClock) -> Caller:
    return Caller(WorkersEndpoint(Workers(clock), Authenticator([])))


def report(clock: TestClock, worker: str = "host/1", **changed: Any) -> dict[str, Any]:
    now = clock.now()
    running = {"task": "mail", "queue": "mails", "message": "m", "since": now - 3_000, "attempt": 2}
    running |= {"key": "shop/mail/1", "messages": 1}
    return {
        "id": worker, "at": now, "state": "running", "started_at": now - 60_000, "name": "till", "host": "host",
        "pid": 7, "app": "shop", "encola": "0.1.0", "python": "3.11.2", "slots": 32, "busy": 1,
        "queues": [{"queue": "mails", "slots": 32, "busy": 1}], "running": [running],
        "done": 5, "failed": 1, "retried": 2, "last_poll_at": now - 100, **changed,
    }  # fmt: skip


async def test_a_worker_is_listed_as_it_has_told_of_itself(caller: Caller, clock: TestClock) -> None:
    told = report(clock)
    assert await caller("Report", **told) == {"stop": False}
    answer = await caller("List")
    (found,) = answer["Workers"]
    assert found.pop("stop_asked") is False
    assert 0 <= clock.now() - found.pop("reported_at") < 30_000
    assert 0 <= clock.now() - answer["Now"] < 30_000
    assert found == told


async def test_what_a_newer_worker_tells_besides_is_no_harm(caller: Caller, clock: TestClock) -> None:
    await caller("Report", **report(clock), mood="good")
    assert len((await caller("List"))["Workers"]) == 1


async def test_a_worker_that_was_asked_to_stop_hears_of_it(caller: Caller, clock: TestClock) -> None:
    await caller("Report", **report(clock))
    assert await caller("Stop", Worker="host/1") == {}
    assert (await caller("List"))["Workers"][0]["stop_asked"] is True
    assert await caller("Report", **report(clock)) == {"stop": True}
    await caller("Report", **report(clock, state="stopped"))
    assert (await caller("List"))["Workers"] == []


async def test_who_is_not_there_cannot_be_stopped(caller: Caller, clock: TestClock) -> None:
    status, code, text = await caller.refusal("Stop", b'{"Worker": "host/1"}')
    assert (status, code) == (400, "WorkerNotFound")
    assert "host/1" in text
    await caller("Report", **report(clock))
    clock.turn(SILENCE_MAX)
    assert (await caller.refusal("Stop", b'{"Worker": "host/1"}'))[1] == "WorkerNotFound"


async def test_workers_are_listed_page_by_page(caller: Caller, clock: TestClock) -> None:
    names = [f"host/{number:03}" for number in range(LISTED_MAX + 5)]
    for name in names:
        await caller("Report", **report(clock, name))
    first = await caller("List")
    assert len(first["Workers"]) == LISTED_MAX
    second = await caller("List", After=first["Next"])
    assert "Next" not in second
    assert [one["id"] for one in first["Workers"] + second["Workers"]] == names
    small = await caller("List", After="host/001", Limit=2)
    assert ([one["id"] for one in small["Workers"]], small["Next"]) == (["host/002", "host/003"], "host/003")


async def test_another_account_sees_and_stops_nobody(caller: Caller, clock: TestClock) -> None:
    await caller("Report", **report(clock))
    stranger = Caller(caller.endpoint, "444455556666")
    assert (await stranger("List"))["Workers"] == []
    assert (await stranger.refusal("Stop", b'{"Worker": "host/1"}'))[1] == "WorkerNotFound"
    assert await caller("Report", **report(clock)) == {"stop": False}


async def test_the_list_has_an_end(caller: Caller, clock: TestClock) -> None:
    for number in range(WORKERS_MAX):
        await caller("Report", **report(clock, f"w{number}"))
    body = json.dumps(report(clock, "late")).encode()
    status, code, text = await caller.refusal("Report", body)
    assert (status, code) == (400, "TooManyWorkers")
    assert str(WORKERS_MAX) in text


JOB = {"task": "t", "queue": "q", "message": "m", "since": 1}
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "an empty id": ({"id": ""}, "$.id"),
    "a long id": ({"id": "i" * 513}, "$.id"),
    "no number": ({"pid": "7"}, "$.pid"),
    "an unknown state": ({"state": "asleep"}, "$.state"),
    "too many jobs": ({"running": [JOB] * (RUNNING_MAX + 1)}, f"length <= {RUNNING_MAX}"),
    "a long key": ({"running": [{**JOB, "key": "k" * 1025}]}, "$.running[0].key"),
    "a job without a task": ({"running": [{"queue": "q", "message": "m", "since": 1}]}, "$.running[0]"),
    "too many queues": ({"queues": [{"queue": "q", "slots": 1}] * (QUEUES_MAX + 1)}, f"length <= {QUEUES_MAX}"),
    "negative slots": ({"queues": [{"queue": "q", "slots": -1}]}, "$.queues[0].slots"),
    "a number of many digits": ({"done": 10**30}, "$.done"),
    "a time before all times": ({"started_at": -1}, "$.started_at"),
}


@pytest.mark.parametrize("name", WRONG)
async def test_wrong_reports_are_refused_and_the_text_says_where(caller: Caller, clock: TestClock, name: str) -> None:
    changed, where = WRONG[name]
    status, code, text = await caller.refusal("Report", json.dumps(report(clock, **changed)).encode())
    assert (status, code) == (400, "ValidationException")
    assert where in text
    assert (await caller("List"))["Workers"] == []


@pytest.mark.parametrize(
    ("operation", "body", "code"),
    [
        ("Report", b"{}", "ValidationException"),
        ("Report", b"", "ValidationException"),
        ("Report", b"{", "SerializationException"),
        ("Report", b"\xff", "SerializationException"),
        ("Report", b'{"mood": ' + b"[" * 100_000, "SerializationException"),
        ("List", b'{"Limit": 0}', "ValidationException"),
        ("List", b'{"Limit": 101}', "ValidationException"),
        ("List", b'{"After": 1}', "ValidationException"),
        ("Stop", b"{}", "ValidationException"),
        ("Stop", b'{"Worker": ""}', "ValidationException"),
        ("Dance", b"{}", "UnknownOperationException"),
        ("", b"{}", "UnknownOperationException"),
    ],
)
async def test_what_makes_no_sense_is_refused(caller: Caller, operation: str, body: bytes, code: str) -> None:
    assert (await caller.refusal(operation, body))[:2] == (STATUSES[code], code)


async def test_only_a_post_is_an_operation(caller: Caller) -> None:
    assert (await caller.refusal("List", b"{}", "GET"))[1] == "UnknownOperationException"


# Who may ------------------------------------------------------------------------------------------------


def credential(*actions: str, queues: tuple[str, ...] = ("*",)) -> Credential:
    return Credential("KEY", "secret", ACCOUNT, "worker", actions, queues)


@pytest.mark.parametrize(
    ("limited", "allowed"),
    [
        (credential("*"), {"Report", "List", "Stop"}),
        (credential("ReportWorker"), {"Report"}),
        (credential("SendMessage", "*Worker"), {"Report", "Stop"}),
        (credential("sqs:ListWorkers", queues=("reports",)), {"List"}),
        (credential("*", queues=("reports",)), set()),
        (credential("SendMessage"), set()),
    ],
)
async def test_a_credential_may_what_it_may(clock: TestClock, limited: Credential, allowed: set[str]) -> None:
    workers = Workers(clock)
    endpoint = WorkersEndpoint(workers, Authenticator([limited], wall=lambda: NOW))
    await Caller(WorkersEndpoint(workers, Authenticator([])))("Report", **report(clock))
    bodies = {"Report": report(clock), "List": {}, "Stop": {"Worker": "host/1"}}
    for operation, asked in bodies.items():
        headers = [("X-Amz-Target", f"EncolaWorkers.{operation}"), ("Content-Type", "application/x-amz-json-1.0")]
        request = signed("POST", "/", headers, json.dumps(asked).encode(), key="KEY", secret="secret")
        response = await endpoint.handle(request)
        if operation in allowed:
            assert response.status == 200
        else:
            told = json.loads(response.body)
            assert (response.status, told["__type"]) == (403, "encola.workers#AccessDeniedException")
            assert operation.lower() in told["message"]


def test_the_configuration_knows_the_actions() -> None:
    for action in ACTIONS:
        assert may(identity_of(credential(action, queues=("none",)), "us-east-1"), action)
        Config(credentials=(credential(action),))


# Through the front door ---------------------------------------------------------------------------------


def test_a_real_server_checks_signatures_and_rights(clock: TestClock) -> None:
    from botocore.exceptions import ClientError

    from encola.cli.client import call

    limited = Credential("LIMITED", "secret", "000000000000", "sender", ("SendMessage",), ("*",))
    with EncolaServer(credentials=[limited]) as server:
        options = {name: value for name, value in server.client_options.items() if name != "endpoint_url"}
        whole = client(server.url, **options)
        assert call(whole, "Report", report(clock), of="EncolaWorkers") == {"stop": False}
        assert [one["id"] for one in call(whole, "List", {}, of="EncolaWorkers")["Workers"]] == ["host/1"]
        assert call(whole, "DescribeServer", {})["Name"] == "encola"  # its own targets go where they went
        for changed, code in [
            ({"aws_secret_access_key": "wrong"}, "InvalidSignatureException"),
            ({"aws_access_key_id": "NOBODY"}, "InvalidClientTokenId"),
            ({"aws_access_key_id": "LIMITED", "aws_secret_access_key": "secret"}, "AccessDeniedException"),
        ]:
            caller = client(server.url, **{**options, **changed})
            for operation, asked in (("Report", report(clock)), ("List", {}), ("Stop", {"Worker": "host/1"})):
                with pytest.raises(ClientError) as refused:
                    call(caller, operation, asked, of="EncolaWorkers")
                assert refused.value.response["Error"]["Code"] == code
        assert call(whole, "List", {}, of="EncolaWorkers")["Workers"][0]["stop_asked"] is False
