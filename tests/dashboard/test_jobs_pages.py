"""The pages of jobs: what became of them is found, seen, and acted upon; with real workers where it matters."""

import json
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from encola.engine.records import Claim, Complete, Renew

from ..consumers.bench import wait_until
from ..process import ServerProcess
from .jobs_desk import DAY, Desk, Program, claim, failure, path_of
from .web import Web


@pytest.fixture
def desk(server: ServerProcess, sqs: Any) -> Desk:
    return Desk(server.url, sqs)


@pytest.fixture
def app(name: str) -> str:
    """An application that no other test has."""
    return f"app-{name}"


def keys(twin: dict[str, Any]) -> list[str]:
    return [row["key"] for row in twin["rows"]]


def jobs(web: Web, app: str, query: str = "") -> list[str]:
    return keys(web.twin(f"/ui/jobs?prefix={app}/&{query}"))


# Finding ----------------------------------------------------------------------------------------------


def test_jobs_are_listed_by_what_they_are(web: Web, desk: Desk, app: str) -> None:
    done, dead, runs = (f"{app}/{name}" for name in ("report/1", "report/2", "mail/3"))
    desk.apply(claim(done, "reports"), Complete(done, "me", 1, DAY, msgspec.Raw(b'{"where":"Oslo"}')))
    desk.dead_job(dead, "reports", None)
    desk.apply(claim(runs, "post"), Renew(runs, "me", 1, 60_000, 0.4, "rendering page <2>"))
    desk.apply(Claim(f"{app}/cron/report/20260101T0600Z", "me", "cron", "reports", "", 60_000, DAY))
    assert jobs(web, app) == [runs, dead, done]
    assert jobs(web, app, "state=dead") == [dead]
    assert jobs(web, app, "state=nonsense") == [runs, dead, done]
    assert jobs(web, app, "task=mail") == [runs]
    assert jobs(web, app, "queue=reports") == [dead, done]
    assert jobs(web, app, "text=OSLO") == [done]
    assert jobs(web, app, "text=such+month") == [dead]
    assert jobs(web, app, "text=page+%3C2") == [runs]
    assert jobs(web, app, "text=nowhere") == []
    row = web.twin(f"/ui/jobs?prefix={app}/&state=running")["rows"][0]
    assert (row["progress"], row["note"], row["worker"], row["attempts"]) == (0.4, "rendering page <2>", "host/1", 1)
    page = web.get(f"/ui/jobs?prefix={app}/")
    assert "rendering page <2>" in page.words
    assert "ValueError: no such month" in page.words
    assert "page <2>" not in page.text


def test_a_long_list_is_read_page_by_page_and_each_job_comes_once(web: Web, desk: Desk, app: str) -> None:
    made = [f"{app}/report/{number:03}" for number in range(120)]
    for start in range(0, 120, 60):
        desk.apply(*(claim(key, "reports") for key in made[start : start + 60]))
    desk.apply(*(Claim(f"{app}/cron/x/{n}", "me", "cron", "reports", "", 60_000, DAY) for n in range(80)))
    for query in ("", "text=report/"):
        seen, before = [], ""
        while True:
            twin = web.twin(f"/ui/jobs?prefix={app}/&{query}&before={before}")
            seen += keys(twin)
            before = twin["next"]
            assert not twin["stopped"]
            if not before:
                break
        assert len(seen) == 120
        assert sorted(seen) == made


def test_a_job_tells_its_attempts_and_its_result_when_it_is_asked_for(web: Web, desk: Desk, app: str) -> None:
    key = f"{app}/report/<b>bold</b>"
    desk.dead_job(key, "reports", None, "<script>alert(1)</script>")
    twin = web.twin(path_of(key))
    (attempt,) = twin["attempts"]
    assert (attempt["outcome"], attempt["type"], attempt["worker"]) == ("dead", "ValueError", "host/1")
    assert attempt["traceback"] == "Traceback:\n  <in> report"
    page = web.get(path_of(key))
    assert "<script>alert" not in page.text
    assert "<b>bold" not in page.text
    assert "<script>alert(1)</script>" in page.words
    done = f"{app}/report/2"
    desk.apply(claim(done, "reports"), Complete(done, "me", 1, DAY, msgspec.Raw(b'{"where":"<i>Oslo</i>"}')))
    hidden = web.get(path_of(done))
    assert "Oslo" not in hidden.text
    assert web.twin(path_of(done))["result"] is None
    assert web.twin(path_of(done))["result_bytes"] == 23
    assert web.twin(f"{path_of(done)}?show=result")["result"] == {"where": "<i>Oslo</i>"}
    shown = web.get(f"{path_of(done)}?show=result")
    assert '"where": "<i>Oslo</i>"' in shown.words
    assert "<i>Oslo" not in shown.text


@pytest.mark.parametrize("rest", ["report/a%20b/c?d=1#e", "report/été\nand more", "report/" + "x" * 900, "report/.."])
def test_whatever_a_job_is_called_its_page_is_found_from_the_list(web: Web, desk: Desk, app: str, rest: str) -> None:
    key = f"{app}/{rest}"
    desk.apply(claim(key, "reports"))
    page = web.get(f"/ui/jobs?prefix={app}/")
    link = page.text.split('<th scope="row"><a href="')[1].split('"')[0].replace("&amp;", "&")
    assert web.twin(link)["job"]["key"] == key


def test_a_job_without_a_record_is_not_found(web: Web, app: str) -> None:
    answer = web.get(path_of(f"{app}/report/none"))
    assert answer.status == 404
    assert "waits for its first attempt, or is forgotten" in answer.words


# Acting -----------------------------------------------------------------------------------------------

MENDED = """
import pathlib
import encola

app = encola.App("{app}")
here = pathlib.Path(__file__).parent

@app.task(queue="{queue}", retries=0)
def pay(number: int) -> str:
    if not (here / "mended").exists():
        raise ConnectionError("no bank answers")
    return f"paid {{number}}"
"""


def test_a_dead_job_is_tried_again_from_its_page_and_completes(
    web: Web, desk: Desk, server: ServerProcess, app: str, name: str, tmp_path: Path
) -> None:
    """A foreign producer's message, which names no job: the retry must bring it back as the same job all the same."""
    with Program(tmp_path, server.url, MENDED.format(app=app, queue=name)) as program:
        program.work().ready()
        url = desk.sqs.get_queue_url(QueueName=name)["QueueUrl"]
        sent = desk.sqs.send_message(QueueUrl=url, MessageBody='{"task": "pay", "args": {"number": 7}}')
        key = f"{app}/pay/{sent['MessageId']}"
        wait_until(lambda: key in jobs(web, app, "state=dead"), "a dead job")
        letter = wait_until(lambda: _letter(web, key), "its dead letter")
        assert letter["queue"] == f"{name}-dead"
        assert f"/ui/queues/{name}-dead/messages/{letter['message']}" in web.get(path_of(key)).text
        (tmp_path / "mended").touch()
        answer = web.post(path_of(key), {"act": "retry"})
        assert f"Its message was moved from {name}-dead to {name}" in answer.words
        wait_until(lambda: web.twin(path_of(key))["job"]["status"] == "completed", "its end")
    twin = web.twin(f"{path_of(key)}?show=result")
    assert [one["outcome"] for one in twin["attempts"]] == ["failed", "completed"]
    assert twin["result"] == "paid 7"
    assert twin["letter"] is None
    noted = web.twin(f"/ui/audit?search={app}")["entries"][0]
    assert (noted["what"], noted["on"], noted["outcome"]) == ("RetryJob", key, "done")


def _letter(web: Web, key: str) -> dict[str, Any] | None:
    letter: dict[str, Any] = web.twin(path_of(key))["letter"]
    return letter if letter["state"] == "found" else None


PATIENT = """
import asyncio
import encola

app = encola.App("{app}", lease=2)

@app.task(queue="{queue}", key="wait/{{number}}")
async def wait(number: int) -> None:
    encola.progress(0.25, "waiting")
    await asyncio.sleep(3600)
"""


def test_a_job_that_runs_is_cancelled_from_its_page(
    web: Web, desk: Desk, server: ServerProcess, app: str, name: str, tmp_path: Path
) -> None:
    key = f"{app}/wait/1"
    with Program(tmp_path, server.url, PATIENT.format(app=app, queue=name)) as program:
        program.work().ready()
        url = desk.sqs.get_queue_url(QueueName=name)["QueueUrl"]
        desk.sqs.send_message(QueueUrl=url, MessageBody='{"task": "wait", "job": "wait/1", "args": {"number": 1}}')
        wait_until(lambda: key in jobs(web, app, "state=running"), "a job that runs")
        wait_until(lambda: web.twin(path_of(key))["job"]["note"] == "waiting", "its progress")
        assert "cancel" in web.get(path_of(key)).words.lower()
        answer = web.post(path_of(key), {"act": "cancel"})
        assert "its worker stops it" in answer.words
        wait_until(lambda: web.twin(path_of(key))["job"]["status"] == "cancelled", "its end")
        refused = web.post(path_of(key), {"act": "retry"})
        assert refused.status == 409
        assert "It is cancelled: there is nothing to try again." in refused.words


def test_a_job_is_forgotten_after_a_question_but_never_while_it_runs(web: Web, desk: Desk, app: str) -> None:
    dead, runs = f"{app}/report/1", f"{app}/report/2"
    desk.dead_job(dead, "reports", None)
    desk.apply(claim(runs, "reports"))
    page = web.get(f"/ui/job-forget?key={dead}")
    assert f"The record of {dead}, which is dead, will be removed" in page.words
    assert "It runs: cancel it first." in web.post(f"/ui/job-forget?key={runs}").words
    assert f"{dead} is forgotten" in web.post(f"/ui/job-forget?key={dead}").words
    assert jobs(web, app) == [runs]


@pytest.mark.parametrize(
    ("act", "status", "said"),
    [
        ("cancel", 409, "It is dead: there is nothing to cancel."),
        ("retry", 409, "Its message is not on "),
        ("explode", 404, "There is no such act."),
    ],
)
def test_what_cannot_be_done_is_said_in_words(
    web: Web, desk: Desk, app: str, name: str, act: str, status: int, said: str
) -> None:
    desk.queues(name)
    key = f"{app}/report/1"
    desk.dead_job(key, name, None)
    answer = web.post(path_of(key), {"act": act})
    assert answer.status == status
    assert said in answer.words


def test_a_job_on_a_queue_without_dead_letters_cannot_be_retried(web: Web, desk: Desk, app: str) -> None:
    key = f"{app}/report/1"
    desk.dead_job(key, "nowhere", None)
    assert "has no dead-letter queue" in web.post(path_of(key), {"act": "retry"}).words
    assert ">Retry<" not in web.get(path_of(key)).text


def test_the_message_of_another_application_is_left_where_it_is(web: Web, desk: Desk, app: str, name: str) -> None:
    """Two applications share the queues; the job ids are the same."""
    _, dead = desk.queues(name)
    desk.dead_job(f"{app}/report/1", name, dead, app=f"{app}2")
    assert web.twin(path_of(f"{app}/report/1"))["letter"]["state"] == "missing"
    assert web.post(path_of(f"{app}/report/1"), {"act": "retry"}).status == 409
    assert desk.waiting(dead) == 1


# Many at once -----------------------------------------------------------------------------------------


def _ended(web: Web, app: str) -> dict[str, Any]:
    """The newest work, when it has ended."""

    def look() -> dict[str, Any] | None:
        newest: dict[str, Any] = web.twin(f"/ui/jobs?prefix={app}/")["works"][0]
        return newest if newest["state"] != "running" else None

    found: dict[str, Any] = wait_until(look, "the end of a work")
    return found


def test_dead_jobs_are_counted_first_and_then_tried_again(web: Web, desk: Desk, app: str, name: str) -> None:
    home, dead = desk.queues(name)
    made = [f"{app}/report/{number}" for number in range(6)]
    for key in made[:4]:
        desk.dead_job(key, name, dead)
    desk.dead_job(made[4], name, None)  # its message is gone
    desk.dead_job(made[5], "nowhere", None)
    desk.sqs.send_message(QueueUrl=dead, MessageBody="no job at all")
    path = f"/ui/jobs-retry?prefix={app}/"
    twin = web.twin(path)
    assert (twin["jobs"], twin["found"], twin["unreachable"], twin["looked_at"]) == (6, 4, 1, 5)
    assert twin["counted_all"]
    assert twin["looked_all"]
    assert {row["job"]["key"]: row["found"] for row in twin["rows"]} == {key: key in made[:4] for key in made}

    assert "No job was chosen" in web.post(path, {"which": "chosen"}).words
    answer = web.post(path, {"which": "chosen", "key": made[:2]})
    assert "Retry 2 dead jobs: it runs" in answer.words
    work = _ended(web, app)
    assert (work["state"], work["done"], work["left_alone"]) == ("done", 2, 0)
    assert (desk.waiting(home), desk.waiting(dead)) == (2, 3)

    web.post(path, {"which": "all"})
    work = _ended(web, app)
    assert (work["state"], work["done"]) == ("done", 2)
    assert "1 without a dead-letter queue" in work["detail"]
    assert (desk.waiting(home), desk.waiting(dead)) == (4, 1)
    received = desk.sqs.receive_message(QueueUrl=home, MaxNumberOfMessages=10, MessageAttributeNames=["All"])
    for message in received["Messages"]:
        assert list(message["MessageAttributes"]) == ["tenant"]
        assert json.loads(message["Body"])["app"] == app
    noted = [
        entry for entry in web.twin("/ui/audit?search=RetryJobs")["entries"] if "2 brought back" in entry["detail"]
    ]
    assert len(noted) >= 2


def test_what_is_not_dead_any_more_is_not_brought_back_and_what_is_held_is_left_alone(
    web: Web, desk: Desk, app: str, name: str
) -> None:
    home, dead = desk.queues(name)
    again, held = f"{app}/report/1", f"{app}/report/2"
    desk.dead_job(held, name, dead)
    desk.sqs.receive_message(QueueUrl=dead, VisibilityTimeout=600)
    desk.dead_job(again, name, dead)
    later = int(time.time() * 1000) + 60_000
    desk.apply(Claim(again, "other", "report", name, "", 60_000, DAY, later))
    web.post(f"/ui/jobs-retry?prefix={app}/", {"which": "chosen", "key": [again, held]})
    work = _ended(web, app)
    assert (work["done"], work["left_alone"], work["detail"]) == (0, 1, "1 held by a consumer")
    assert desk.waiting(home) == 0
    refused = web.post(path_of(held), {"act": "retry"})
    assert "Its message was left alone: held by a consumer." in refused.words


def test_hundreds_of_dead_jobs_are_tried_again_with_progress(web: Web, desk: Desk, app: str, name: str) -> None:
    """A message is found by one walk over the queue, not by one walk for each job."""
    home, dead = desk.queues(name)
    number = 500
    for start in range(0, number, 50):
        part = [f"{app}/report/{one}" for one in range(start, start + 50)]
        desk.apply(*(claim(key, name) for key in part))
        desk.apply(*(failure(key) for key in part))
        for some in (part[at : at + 10] for at in range(0, 50, 10)):
            entries = [
                {"Id": str(at), "MessageBody": json.dumps({"task": "report", "job": key.partition("/")[2], "args": {}})}
                for at, key in enumerate(some)
            ]
            desk.sqs.send_message_batch(QueueUrl=dead, Entries=entries)
    assert web.twin(f"/ui/jobs-retry?prefix={app}/")["found"] == number
    web.post(f"/ui/jobs-retry?prefix={app}/", {"which": "all"})
    work = _ended(web, app)
    assert (work["state"], work["done"], work["total"], work["looked_at"]) == ("done", number, number, number)
    assert (desk.waiting(home), desk.waiting(dead)) == (number, 0)
