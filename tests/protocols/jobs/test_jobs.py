"""Records of jobs over HTTP: commands, reads, searches, and what is refused."""

import json
from typing import Any

import pytest

from encola.engine.records import COMMANDS_MAX, DURATION_MAX, KEY_LENGTH_MAX, RESULT_BYTES_MAX, TEXT_LENGTH_MAX
from encola.engine.store import Store, StoreError

from ...broker.conftest import TestClock
from .conftest import Jobs

DAY = 86_400_000


def claim(key: str = "k", **changed: Any) -> dict[str, Any]:
    made = {"type": "claim", "key": key, "owner": "me", "task": "report", "queue": "reports"}
    return {**made, "payload_hash": "hash", "lease": 60_000, "window": DAY, **changed}


def complete(key: str = "k", result: Any = None, **changed: Any) -> dict[str, Any]:
    return {"type": "complete", "key": key, "owner": "me", "fence": 1, "window": DAY, "result": result, **changed}


def fail(**error: Any) -> dict[str, Any]:
    told = {"attempt": 1, "at": 1, "type": "ValueError", "message": "no such month", **error}
    return {"type": "fail", "key": "k", "owner": "me", "fence": 1, "window": DAY, "error": told}


async def test_a_job_from_its_claim_to_its_result(jobs: Jobs, clock: TestClock) -> None:
    assert await jobs.apply(claim()) == [{"type": "run", "fence": 1, "attempt": 1}]
    (busy,) = await jobs.apply(claim(owner="another"))
    assert (busy["type"], 0 <= clock.now() + 60_000 - busy["lease_until"] < 30_000) == ("busy", True)
    renew = {"type": "renew", "key": "k", "owner": "me", "fence": 1, "lease": 60_000, "progress": 0.5, "note": "half"}
    assert await jobs.apply(renew) == [{"type": "held"}]
    (job,) = (await jobs("Get", Keys=["k"]))["Jobs"]
    assert (job["state"], job["progress"], job["note"], "result" in job) == ("running", 0.5, "half", False)
    result = {"pages": 3, "text": "Größe \u2028", "nested": [None, 1.5, []]}
    assert await jobs.apply(complete(result=result)) == [{"type": "held"}]
    assert await jobs.apply(claim(owner="another")) == [{"type": "replay", "result": result}]
    found = await jobs("Get", Keys=["nothing", "k"])
    assert found["Jobs"][0] is None
    assert (found["Jobs"][1]["state"], found["Jobs"][1]["result"]) == ("completed", result)


async def test_every_command_has_its_reply(jobs: Jobs) -> None:
    of = {"key": "k", "owner": "me"}
    replies = await jobs.apply(
        claim(),
        fail(),
        {"type": "release", **of, "fence": 1},
        {"type": "cancel", "key": "k", "task": "report", "queue": "reports", "window": DAY},
        claim(),
        claim(payload_hash="other"),
        {"type": "forget", "key": "k"},
        {"type": "enter", **of, "limit": 1, "lease": 1000},
        {"type": "leave", **of},
        {"type": "reserve", "key": "r", "count": 1, "interval_us": 1000},
        {"type": "arrive", "key": "j", "member": "a", "total": 1, "window": DAY},
    )
    told = ["run", "held", "lost", "cancelled", "dead", "mismatch", "held", "entered", "held", "reserved", "arrived"]
    assert [reply["type"] for reply in replies] == told
    assert (replies[7]["granted"], replies[9]["granted"], replies[10]["members"]) == (True, True, ["a"])


async def test_jobs_are_found_page_by_page(jobs: Jobs, clock: TestClock) -> None:
    for number in range(5):
        await jobs.apply(claim(f"report/{number}"), claim(f"mail/{number}", task="mail"))
        clock.turn(1)
    found, keys = await jobs("Find", task="report", limit=2), []
    while True:
        keys += [job["key"] for job in found["Jobs"]]
        if "Next" not in found:
            break
        found = await jobs("Find", task="report", limit=2, before=found["Next"])
    assert keys == [f"report/{number}" for number in (4, 3, 2, 1, 0)]
    assert [job["key"] for job in (await jobs("Find", prefix="mail/3"))["Jobs"]] == ["mail/3"]
    assert len((await jobs("Find"))["Jobs"]) == 10
    assert await jobs("Find", states=["dead"], queue="reports") == {"Jobs": []}


async def test_times_are_those_of_the_servers_clock(jobs: Jobs, clock: TestClock) -> None:
    await jobs.apply(claim(lease=1000, window=1000))
    clock.turn(1000)
    assert (await jobs("Get", Keys=["k"]))["Jobs"] == [None]
    assert await jobs.apply(claim(owner="another")) == [{"type": "run", "fence": 1, "attempt": 1}]


async def test_another_account_sees_and_changes_nothing(jobs: Jobs) -> None:
    await jobs.apply(claim(), complete(result=1))
    stranger = Jobs(jobs.endpoint, "444455556666")
    assert (await stranger("Get", Keys=["k"]))["Jobs"] == [None]
    assert await stranger("Find") == {"Jobs": []}
    assert await stranger.apply({"type": "forget", "key": "k"}, claim()) == [
        {"type": "held"},
        {"type": "run", "fence": 1, "attempt": 1},
    ]
    assert (await jobs("Get", Keys=["k"]))["Jobs"][0]["result"] == 1


# What is refused ----------------------------------------------------------------------------------------

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no commands": ({}, "Commands"),
    "an empty list": ({"Commands": []}, "length >= 1"),
    "too many": ({"Commands": [claim()] * (COMMANDS_MAX + 1)}, f"length <= {COMMANDS_MAX}"),
    "no type": ({"Commands": [{"key": "k"}]}, "type"),
    "an unknown type": ({"Commands": [{"type": "steal", "key": "k"}]}, "'steal' - at `$.Commands[0].type`"),
    "no key": ({"Commands": [claim(), {"type": "forget"}]}, "key` - at `$.Commands[1]`"),
    "an empty key": ({"Commands": [claim("")]}, "$.Commands[0].key"),
    "a long key": ({"Commands": [claim("k" * (KEY_LENGTH_MAX + 1))]}, f"length <= {KEY_LENGTH_MAX}"),
    "an empty owner": ({"Commands": [claim(owner="")]}, "$.Commands[0].owner"),
    "a long task": ({"Commands": [claim(task="t" * 513)]}, "$.Commands[0].task"),
    "a negative lease": ({"Commands": [claim(lease=-1)]}, ">= 0 - at `$.Commands[0].lease`"),
    "an endless lease": ({"Commands": [claim(lease=DURATION_MAX + 1)]}, f"<= {DURATION_MAX}"),
    "a lease of text": ({"Commands": [claim(lease="1")]}, "Expected `int`"),
    "a number of many digits": ({"Commands": [claim(sent_at=10**30)]}, "$.Commands[0].sent_at"),
    "a large result": ({"Commands": [claim(), complete(result="r" * RESULT_BYTES_MAX)]}, "$.Commands[1].result"),
    "a long message": ({"Commands": [fail(message="m" * (TEXT_LENGTH_MAX + 1))]}, "$.Commands[0].error.message"),
    "half an error": ({"Commands": [{**fail(), "error": {"attempt": 1}}]}, "$.Commands[0].error"),
}


@pytest.mark.parametrize("name", WRONG)
async def test_wrong_commands_are_refused_and_the_text_says_where(jobs: Jobs, name: str) -> None:
    given, text = WRONG[name]
    answer = await jobs.refusal("Apply", **given)
    assert answer.told == (400, "ValidationException")
    assert text in answer.body["message"]
    assert answer.headers["x-amzn-errortype"] == "ValidationException"
    assert await jobs("Find") == {"Jobs": []}


async def test_what_is_as_large_as_it_may_be_is_taken(jobs: Jobs) -> None:
    key = "k" * KEY_LENGTH_MAX
    replies = await jobs.apply(claim(key, lease=DURATION_MAX), complete(key, "r" * (RESULT_BYTES_MAX - 2)))
    assert [reply["type"] for reply in replies] == ["run", "held"]
    assert len(await jobs.apply(*(claim(str(number)) for number in range(COMMANDS_MAX)))) == COMMANDS_MAX
    assert len((await jobs("Get", Keys=[key] * COMMANDS_MAX))["Jobs"]) == COMMANDS_MAX


@pytest.mark.parametrize(
    ("operation", "given"),
    [
        ("Get", {}),
        ("Get", {"Keys": []}),
        ("Get", {"Keys": ["k"] * (COMMANDS_MAX + 1)}),
        ("Get", {"Keys": [""]}),
        ("Get", {"Keys": "k"}),
        ("Find", {"limit": 0}),
        ("Find", {"limit": 1001}),
        ("Find", {"states": ["lost"]}),
        ("Find", {"before": ["k", 1]}),
        ("Find", {"before": [10**30, "k"]}),
        ("Find", {"prefix": "k" * (KEY_LENGTH_MAX + 1)}),
    ],
)
async def test_wrong_reads_are_refused(jobs: Jobs, operation: str, given: dict[str, Any]) -> None:
    assert (await jobs.refusal(operation, **given)).told == (400, "ValidationException")


async def test_a_command_on_another_kind_of_record_is_named_and_the_others_were_carried_out(jobs: Jobs) -> None:
    await jobs.apply(claim())
    enter = {"type": "enter", "key": "k", "owner": "me", "limit": 1, "lease": 1}
    answer = await jobs.refusal("Apply", Commands=[claim("before"), enter, claim("after")])
    assert answer.told == (400, "WrongRecord")
    assert answer.body["message"] == "k holds no slots - at `$.Commands[1]`. The other commands were carried out."
    assert None not in (await jobs("Get", Keys=["before", "after"]))["Jobs"]


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"\xff",
        b'{"Commands":[{"type":"complete","key":"k","owner":"o","fence":1,"window":1,"result":"\xff"}]}',
        b'{"Commands":[{"type":"complete","key":"k","owner":"o","fence":1,"window":1,"result":[1,]}]}',
        b'{"Commands":[{"type":"complete","key":"k","owner":"o","fence":1,"window":1,"result":'
        + b"[" * 50_000
        + b"]" * 50_000
        + b"}]}",
        b'{"Commands":[{"type":"forget","key":"\\ud800"}]}',
    ],
)
async def test_what_is_no_json_is_refused(jobs: Jobs, body: bytes) -> None:
    answer = await jobs.ask("Apply", body)
    assert answer.told == (400, "SerializationException")


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b'"x"', b"1", b"[" * 100_000, b'{"Commands":' + b"[" * 100_000])
async def test_what_has_another_form_is_refused(jobs: Jobs, body: bytes) -> None:
    assert (await jobs.ask("Apply", body)).told == (400, "ValidationException")


async def test_operations_that_are_not_there(jobs: Jobs) -> None:
    assert (await jobs.ask("Drop", b"{}")).told == (400, "UnknownOperationException")
    assert (await jobs.ask("Find", b"{}", "GET")).told == (400, "UnknownOperationException")


class _Failing:
    """Stands in the place of a store."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def jobs(self, *arguments: object) -> None:
        raise self._error


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (StoreError("disk on fire"), (503, "ServiceUnavailable")),
        (RuntimeError("the payload of somebody"), (500, "InternalFailure")),
    ],
)
async def test_a_failure_of_ours_says_nothing_of_what_was_sent(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception, told: object
) -> None:
    monkeypatch.setattr(jobs.endpoint._records, "_store", _Failing(error))
    answer = await jobs.refusal("Get", Keys=["k"])
    assert answer.told == told
    assert str(error) not in json.dumps(answer.body) + caplog.text


async def test_a_restart_keeps_them(jobs: Jobs, store: Store) -> None:
    await jobs.apply(claim(), complete(result=[1]))
    await store.close()
    await store.open()
    assert await jobs.apply(claim(owner="another")) == [{"type": "replay", "result": [1]}]
