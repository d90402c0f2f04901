"""The pages of workers: who is alive, doing what; and a gentle stop, with real processes."""

import time
from pathlib import Path
from typing import Any

import pytest

from encola.cli.client import call
from encola.dashboard.views.workers import LATE, worker_of
from encola.engine.workers import Seen

from ..consumers.bench import wait_until
from ..process import ServerProcess
from .jobs_desk import Desk, Program, path_of
from .web import Web

PATIENT = """
import pathlib, time
import encola

app = encola.App("{app}")
here = pathlib.Path(__file__).parent

@app.task(queue="{queue}", key="sell/{{number}}")
def sell(number: int) -> str:
    while not (here / "go on").exists():
        time.sleep(0.01)
    return f"sold {{number}}"
"""


@pytest.fixture
def desk(server: ServerProcess, sqs: Any) -> Desk:
    return Desk(server.url, sqs)


def workers(web: Web, app: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = web.twin(f"/ui/workers?app={app}")["rows"]
    return found


def path(worker: dict[str, Any], *more: str) -> str:
    return "/".join(("/ui/workers", worker["id"].replace("/", "%2F"), *more))


def report(desk: Desk, identity: str, app: str, **more: Any) -> None:
    now = int(time.time() * 1000)
    said = {"id": identity, "at": now, "state": "running", "started_at": now - 60_000, "app": app, "slots": 4, **more}
    call(desk.sqs, "Report", said, of="EncolaWorkers")


@pytest.mark.slow
def test_a_worker_is_seen_at_its_job_and_stopped_gently_from_its_page(
    web: Web, desk: Desk, server: ServerProcess, name: str, tmp_path: Path
) -> None:
    app = f"till-{name}"
    with Program(tmp_path, server.url, PATIENT.format(app=app, queue=name)) as program:
        process = program.work("--concurrency", "3").ready()
        url = desk.sqs.get_queue_url(QueueName=name)["QueueUrl"]
        desk.sqs.send_message(QueueUrl=url, MessageBody='{"task": "sell", "job": "sell/7", "args": {"number": 7}}')
        worker = wait_until(lambda: [one for one in workers(web, app) if one["running"]], "a worker at its job")[0]
        assert (worker["pid"], worker["app"], worker["slots"], worker["busy"]) == (process.pid, app, 3, 1)
        assert (worker["state"], worker["silent"]) == ("running", False)
        assert [served["queue"] for served in worker["queues"]] == [name]
        running = worker["running"][0]
        assert (running["key"], running["queue"], running["attempt"]) == (f"{app}/sell/7", name, 1)
        page = web.get(f"/ui/workers?app={app}")
        assert f'id="worker-{worker["id"]}"' in page.text
        assert path_of(running["key"]) in page.text
        assert path(worker) in page.text
        assert web.twin(path(worker))["workers"][0]["id"] == worker["id"]
        assert path(worker) in web.get(path_of(running["key"])).text  # the job's page knows who works on it

        question = web.get(path(worker, "stop"))
        assert "It runs 1 job now." in question.words
        assert workers(web, app)[0]["state"] == "running"
        answer = web.post(path(worker, "stop"))
        assert "It was asked to stop" in answer.words
        process.logs("was asked to stop")
        assert workers(web, app)[0]["state"] in ("asked to stop", "stopping")
        (tmp_path / "go on").touch()
        assert process.wait() == 0
    assert workers(web, app) == []
    assert web.get(path(worker)).status == 404
    assert web.twin(path_of(f"{app}/sell/7"))["job"]["status"] == "completed"
    noted = web.twin(f"/ui/audit?search={worker['id']}")["entries"]
    assert [(one["what"], one["outcome"]) for one in noted] == [("StopWorker", "done")]


def test_workers_are_found_by_what_they_say_and_added_up(web: Web, desk: Desk, name: str) -> None:
    app = f"shop-{name}"
    report(desk, f"{name}/a", app, name=f"{name}-anna", host="north", busy=3, done=10, failed=1)
    report(desk, f"{name}/b", app, host="south", queues=[{"queue": f"{name}-q", "slots": 4}], retried=2)
    report(desk, f"{name}/c", f"other-{name}", host="<b>west</b>")
    twin = web.twin(f"/ui/workers?app={app}")
    totals = twin["totals"]
    assert (totals["workers"], totals["busy"], totals["slots"], totals["done"]) == (2, 3, 8, 10)
    assert (totals["failed"], totals["retried"], totals["silent"]) == (1, 2, 0)
    for search, ids in (
        (f"{name}-ANNA", ["a"]),
        (f"{name}-q", ["b"]),
        ("<b>west", ["c"]),
        (f"{name}/", ["c", "a", "b"]),
        ("nobody", []),
    ):
        rows = [one for one in web.twin(f"/ui/workers?search={search}")["rows"] if name in one["id"]]
        assert [one["id"] for one in rows] == [f"{name}/{one}" for one in ids]
    page = web.get(f"/ui/workers?search={name}")
    assert "<b>west" not in page.text
    assert "<b>west</b>" in page.words


def test_all_workers_of_an_application_are_asked_to_stop_and_no_others(web: Web, desk: Desk, name: str) -> None:
    app = f"shop-{name}"
    for one in "ab":
        report(desk, f"{name}/{one}", app)
    report(desk, f"{name}/c", f"{app}2")
    assert f"All 2 workers of {app} will be asked to stop" in web.get(f"/ui/workers-stop?app={app}").words
    assert f"2 workers of {app} were asked to stop" in web.post(f"/ui/workers-stop?app={app}").words
    assert [one["state"] for one in workers(web, app)] == ["asked to stop"] * 2
    assert [one["state"] for one in workers(web, f"{app}2")] == ["running"]
    assert web.post("/ui/workers-stop").status == 400
    assert web.get("/ui/workers-stop?app=nobody").status == 404
    assert web.post("/ui/workers/nobody/stop").status == 404


def test_one_that_has_not_reported_lately_is_shown_as_silent() -> None:
    seen = Seen(id="w", at=1000, state="running", started_at=500, reported_at=1000)
    assert not worker_of(seen, 1000 + LATE).silent
    assert worker_of(seen, 1001 + LATE).silent
