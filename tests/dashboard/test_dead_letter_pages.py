"""Dead letters over HTTP: groups by reason, a dry run, redrive of one, of some, of all that fit, with edit; delete."""

import json
import re
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest

from ..process import KEY, KEY_OPTIONS, SECRET, ServerProcess, client
from .web import Answer, Web

WAIT_SECONDS = 20.0
READER = ("AKIDREADS", "the-secret-of-who-reads")
PEEKER = ("AKIDPEEKS", "the-secret-of-who-peeks")
MOVER = ("AKIDMOVES", "the-secret-of-who-moves")


@dataclass
class House:
    """A queue ``name`` whose dead letters go to ``dead``, and ``other``, to which they could go."""

    web: Web
    sqs: Any
    name: str
    server: ServerProcess

    def __post_init__(self) -> None:
        self.urls = {one: self._create(one) for one in (self.dead, self.other)}
        arn = self.sqs.get_queue_attributes(QueueUrl=self.urls[self.dead], AttributeNames=["QueueArn"])
        policy = {"deadLetterTargetArn": arn["Attributes"]["QueueArn"], "maxReceiveCount": "1"}
        self.urls[self.name] = self._create(self.name, RedrivePolicy=json.dumps(policy))

    @property
    def dead(self) -> str:
        return f"{self.name}-dead"

    @property
    def other(self) -> str:
        return f"{self.name}-other"

    @property
    def page(self) -> str:
        return f"/ui/queues/{self.dead}/dead-letters"

    def _create(self, name: str, **attributes: str) -> str:
        url: str = self.sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        return url

    def die(self, bodies: list[str], reason: str = "", error: str = "", **more: Any) -> None:
        """Sends messages that end as dead letters; without a reason, because they were received too often."""
        url = self.urls[self.name]
        for body in bodies:
            self.sqs.send_message(QueueUrl=url, MessageBody=body, **more)
        entries = []
        while len(entries) < len(bodies):
            found = self.sqs.receive_message(
                QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=600 if reason else 0
            )
            entries += [
                {
                    "Id": str(len(entries) + index),
                    "ReceiptHandle": one["ReceiptHandle"],
                    "Reason": reason,
                    "Error": error,
                }
                for index, one in enumerate(found["Messages"])
            ]
        if reason:
            for start in range(0, len(entries), 100):
                self._ours("RejectMessageBatch", {"QueueUrl": url, "Entries": entries[start : start + 100]})
        else:
            assert "Messages" not in self.sqs.receive_message(QueueUrl=url)

    def _ours(self, operation: str, asked: dict[str, Any]) -> None:
        headers = {"X-Amz-Target": f"Encola.{operation}", "Content-Type": "application/x-amz-json-1.0"}
        request = urllib.request.Request(self.server.url + "/", json.dumps(asked).encode(), headers)
        with urllib.request.urlopen(request) as answer:
            assert not json.load(answer).get("Failed")

    def bodies(self, name: str) -> list[str]:
        rows = self.web.twin(f"/ui/queues/{name}/messages")["rows"]
        page = f"/ui/queues/{name}/messages"
        return [self.web.twin(f"{page}/{row['id']}?show=text")["body"]["text"] for row in rows]

    def marks(self, query: str = "order=oldest") -> list[str]:
        return [row["mark"] for row in self.web.twin(f"{self.page}/messages?{query}")["rows"]]

    def plan(self, **query: Any) -> Any:
        return self.web.twin(f"{self.page}/plan?{urlencode(query, doseq=True)}")

    def carry_out(self, form: dict[str, str] | None = None, **query: Any) -> Answer:
        return self.web.post(f"{self.page}/plan?{urlencode(query, doseq=True)}", form or {})

    def ended(self) -> dict[str, Any]:
        """The newest work, once it has ended."""
        end = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < end:
            works: list[dict[str, Any]] = self.web.twin(self.page)["works"]
            if works and works[0]["state"] != "running":
                return works[0]
            time.sleep(0.01)
        raise AssertionError("the work goes on and on")

    def noted(self) -> list[tuple[str, str, str]]:
        entries = self.web.twin("/ui/audit")["entries"]
        return [(one["what"], one["detail"], one["outcome"]) for one in entries if one["on"] == self.dead]


@pytest.fixture
def house(web: Web, sqs: Any, name: str, server: ServerProcess) -> House:
    return House(web, sqs, name, server)


# Groups -----------------------------------------------------------------------------------------------


def test_dead_letters_are_grouped_by_reason_and_a_group_leads_to_its_messages(house: House) -> None:
    house.die(["a", "b"], "permanent", "ValueError: no customer 17\nand more")
    house.die(["c"], "permanent", "ValueError: no customer 4")
    house.die(["d"], "gave-up", "<b>TimeoutError</b>")
    house.die(["e"])
    house.sqs.send_message(QueueUrl=house.urls[house.dead], MessageBody="f")
    twin = house.web.twin(house.page)
    assert (twin["total"], twin["complete"], twin["sources"]) == (6, True, [house.name])
    found = {(one["reason"], one["source"], one["kind"], one["count"]) for one in twin["groups"]}
    assert found == {
        ("permanent", house.name, "ValueError: no customer #", 3),
        ("gave-up", house.name, "<b>TimeoutError</b>", 1),
        ("received too often", house.name, "", 1),
        ("sent to this queue", "", "", 1),
    }
    text = house.web.get(house.page).text
    assert "<b>TimeoutError" not in text
    links = [link.replace("&amp;", "&") for link in re.findall(r'href="([^"]*dead-letters/messages\?[^"]*)"', text)]
    assert sorted(len(house.web.twin(link)["rows"]) for link in links) == [1, 1, 1, 3]
    rows = house.web.twin(next(link for link in links if "customer" in link))["rows"]
    assert {row["why"]["error"] for row in rows} == {"ValueError: no customer 17", "ValueError: no customer 4"}


def test_the_page_works_for_any_queue(house: House) -> None:
    house.sqs.send_message(QueueUrl=house.urls[house.other], MessageBody="a")
    assert house.web.twin(f"/ui/queues/{house.other}/dead-letters")["groups"][0]["reason"] == "sent to this queue"


def test_the_errors_of_every_attempt_are_those_of_the_jobs_record(house: House) -> None:
    message = {"task": "bill", "args": {}, "job": "bill/7", "app": "shop", "v": 1}
    house.die([json.dumps(message)], "gave-up", "ValueError: last")
    claim = {"type": "claim", "key": "shop/bill/7", "owner": "w", "task": "bill", "queue": house.name}
    claim |= {"payload_hash": "h", "lease": 60_000, "window": 600_000}
    fail = {"type": "fail", "key": "shop/bill/7", "owner": "w", "fence": 1, "window": 600_000, "final": True}
    fail["error"] = {"attempt": 1, "at": 1, "type": "ValueError", "message": "<i>first</i>", "traceback": "line 1"}
    headers = {"X-Amz-Target": "EncolaJobs.Apply", "Content-Type": "application/x-amz-json-1.0"}
    body = json.dumps({"Commands": [claim, fail]}).encode()
    urllib.request.urlopen(urllib.request.Request(house.server.url + "/", body, headers)).close()
    (row,) = house.web.twin(f"{house.page}/messages")["rows"]
    page = f"/ui/queues/{house.dead}/messages/{row['id']}"
    job = house.web.twin(page)["job"]
    assert (job["key"], job["attempts"], job["errors"][0]["message"]) == ("shop/bill/7", 1, "<i>first</i>")
    for path in (page, f"{page}/body"):
        text = house.web.get(path).text
        assert "&lt;i&gt;first&lt;/i&gt;" in text
        assert "/ui/jobs/" in text


# Dry run ----------------------------------------------------------------------------------------------


def test_a_dry_run_tells_what_would_go_where_and_does_nothing(house: House) -> None:
    house.die(["a", "b", "c"], "permanent", "E")
    house.sqs.send_message(QueueUrl=house.urls[house.dead], MessageBody="d")
    house.sqs.receive_message(QueueUrl=house.urls[house.dead], VisibilityTimeout=600)
    before = house.web.twin(f"{house.page}/messages")["rows"]
    plan = house.plan(act="redrive", scope="all")["plan"]
    assert (plan["would"], plan["to"]) == (2, [{"what": house.name, "count": 2}])
    assert sorted(one["count"] for one in plan["left_alone"]) == [1, 1]
    assert plan["complete"]
    there = house.plan(act="redrive", scope="all", to=house.other)["plan"]
    assert (there["to"], len(there["left_alone"])) == ([{"what": house.other, "count": 3}], 1)
    assert house.plan(act="delete", scope="all", reason="permanent")["plan"]["would"] == 2
    assert [row["mark"] for row in house.web.twin(f"{house.page}/messages")["rows"]] == [row["mark"] for row in before]
    assert not house.noted()


def test_what_the_dry_run_says_is_what_the_act_does(house: House) -> None:
    house.die([f"{number}" for number in range(7)], "permanent", "E")
    marks = house.marks()
    house.sqs.receive_message(QueueUrl=house.urls[house.dead], VisibilityTimeout=600)
    query = {"act": "redrive", "chosen": [*marks[:4], "999999-00"]}
    plan = house.plan(**query)["plan"]
    assert (plan["would"], {one["what"]: one["count"] for one in plan["left_alone"]}) == (
        3,
        {"received meanwhile": 1, "gone meanwhile": 1},
    )
    answer = house.carry_out(**query)
    assert "3 sent again; 2 left alone" in answer.words
    assert sorted(house.bodies(house.name)) == ["1", "2", "3"]
    assert sorted(house.bodies(house.dead)) == ["0", "4", "5", "6"]
    ((what, detail, outcome),) = house.noted()
    assert (what, outcome) == ("StartMessageMoveTask", "done")
    assert "5 chosen: 3 sent again; 2 left alone" in detail


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"act": "redrive"}, "No message is chosen"),
        ({"act": "redrive", "scope": "chosen", "reason": "x"}, "No message is chosen"),
        ({"act": "redrive", "chosen": "nonsense"}, "not known"),
        ({"act": "redrive", "chosen": [f"{number}-0" for number in range(501)]}, "At most 500"),
        ({"act": "redrive", "scope": "all", "to": "nowhere"}, "There is no queue called nowhere"),
        ({"act": "redrive", "scope": "all", "older": "soon"}, "is no age"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(house: House, query: dict[str, Any], said: str) -> None:
    for answer in (house.web.get(f"{house.page}/plan?{urlencode(query, doseq=True)}"), house.carry_out(**query)):
        assert answer.status in (400, 404)
        assert said in answer.words


def test_messages_do_not_go_to_their_own_queue_nor_to_one_of_the_other_kind(house: House) -> None:
    house.sqs.create_queue(QueueName=f"{house.name}.fifo", Attributes={"FifoQueue": "true"})
    for target, said in ((house.dead, "already"), (f"{house.name}.fifo", "other kind")):
        query = urlencode({"act": "redrive", "scope": "all", "to": target})
        assert said in house.web.get(f"{house.page}/plan?{query}").words


# Redrive and delete -----------------------------------------------------------------------------------


def test_all_that_fit_go_to_a_chosen_queue_in_their_order_with_progress_and_an_audit_log(house: House) -> None:
    house.die([f"{number:03}" for number in range(130)], "permanent", "ValueError: no 1")
    house.die(["other"], "gave-up", "E")
    query = {"act": "redrive", "scope": "all", "reason": "permanent", "error": "ValueError: no #", "to": house.other}
    answer = house.carry_out(**query, chosen="1-00")  # what is ticked does not matter where all are meant
    assert "It has begun" in answer.words
    work = house.ended()
    assert (work["state"], work["done"], work["left_alone"], work["looked_at"]) == ("done", 130, 0, 131)
    first = house.web.twin(f"/ui/queues/{house.other}/messages")
    assert first["total"] == 130
    assert house.bodies(house.other)[:3] == ["000", "001", "002"]
    assert house.bodies(house.dead) == ["other"]
    ended, begun = house.noted()
    assert f"begun, to {house.other}" in begun[1]
    assert "130 sent again" in ended[1]


def test_everything_goes_back_in_one_task_of_the_server(house: House) -> None:
    house.die(["a", "b"], "permanent", "E")
    text = house.web.get(f"{house.page}/plan?act=redrive&scope=all").text
    assert 'name="in_one_task" value="1"' in text
    assert "has begun" in house.carry_out({"in_one_task": "1"}, act="redrive", scope="all").words
    end = time.monotonic() + WAIT_SECONDS
    while house.web.twin(house.page)["moves"][0]["status"] != "COMPLETED":
        assert time.monotonic() < end
        time.sleep(0.01)
    assert sorted(house.bodies(house.name)) == ["a", "b"]
    assert house.noted()[0][:2] == ("StartMessageMoveTask", "all")
    assert not house.web.twin(house.page)["works"]


def test_where_the_task_would_stop_halfway_messages_go_one_by_one(house: House) -> None:
    house.sqs.send_message(QueueUrl=house.urls[house.dead], MessageBody="from nowhere")
    house.die(["a"], "permanent", "E")
    assert "in_one_task" not in house.web.get(f"{house.page}/plan?act=redrive&scope=all").text
    house.carry_out(act="redrive", scope="all")
    work = house.ended()
    assert (work["done"], work["left_alone"]) == (1, 1)
    assert "without a queue to go to" in work["detail"]
    assert house.bodies(house.dead) == ["from nowhere"]


def test_a_running_task_is_cancelled_and_no_other(house: House) -> None:
    house.die([str(number) for number in range(60)], "permanent", "E")
    arn = house.sqs.get_queue_attributes(QueueUrl=house.urls[house.dead], AttributeNames=["QueueArn"])
    house.sqs.start_message_move_task(SourceArn=arn["Attributes"]["QueueArn"], MaxNumberOfMessagesPerSecond=1)
    (move,) = house.web.twin(house.page)["moves"]
    assert "Cancel" in house.web.get(house.page).words
    elsewhere = f"/ui/queues/{house.other}/dead-letters/cancel"
    assert house.web.post(elsewhere, {"task": move["id"]}).status == 404
    assert "was cancelled" in house.web.post(f"{house.page}/cancel", {"task": move["id"]}).words
    end = time.monotonic() + WAIT_SECONDS
    while house.web.twin(house.page)["moves"][0]["status"] != "CANCELLED":
        assert time.monotonic() < end
        time.sleep(0.01)
    again = house.web.post(f"{house.page}/cancel", {"task": move["id"]})
    assert (again.status, "It has ended" in again.words) == (409, True)
    assert house.noted()[1][0] == "CancelMessageMoveTask"


def test_all_that_fit_are_deleted_once_the_queue_was_named(house: House) -> None:
    house.die(["a", "b"], "permanent", "E")
    house.die(["c"], "gave-up", "E")
    query = {"act": "delete", "scope": "all", "reason": "permanent"}
    refused = house.carry_out({"name": house.name}, **query)
    assert (refused.status, "type the queue" in refused.words) == (400, True)
    assert len(house.bodies(house.dead)) == 3
    house.carry_out({"name": house.dead}, **query)
    assert house.ended()["done"] == 2
    assert house.bodies(house.dead) == ["c"]
    assert "2 deleted" in house.noted()[0][1]


def test_chosen_ones_are_deleted(house: House) -> None:
    house.die(["a", "b", "c"], "permanent", "E")
    answer = house.carry_out(act="delete", chosen=house.marks()[:2])
    assert "2 deleted" in answer.words
    assert house.bodies(house.dead) == ["c"]
    assert house.noted()[0][0] == "DeleteMessage"


# Edit -------------------------------------------------------------------------------------------------


def _edit(house: House, number: int, **fields: str) -> Answer:
    page = f"/ui/queues/{house.dead}/messages/{number}/edit"
    twin = house.web.twin(page)
    form = {"body": twin["body"], "attributes": twin["attributes"], "mark": twin["mark"], "to": "", **fields}
    return house.web.post(page, form)


def test_a_message_is_edited_and_sent_again(house: House) -> None:
    attributes = {
        "tenant": {"DataType": "String", "StringValue": "blue"},
        "count": {"DataType": "Number", "StringValue": "1.50"},
        "raw": {"DataType": "Binary.x", "BinaryValue": b"\x00\xff"},
    }
    house.die(["wrong"], "permanent", "E", MessageAttributes=attributes)
    (row,) = house.web.twin(f"{house.page}/messages")["rows"]
    assert f"Sent to {house.name}" in _edit(house, row["id"], body="right\r\nagain").words
    (got,) = house.sqs.receive_message(QueueUrl=house.urls[house.name], MessageAttributeNames=["All"])["Messages"]
    assert got["Body"] == "right\nagain"
    assert got["MessageAttributes"] == attributes
    assert house.bodies(house.dead) == []
    assert "edited" in house.noted()[0][1]


def test_a_body_that_was_not_changed_keeps_its_line_breaks(house: House) -> None:
    house.die(["\none\r\ntwo\n"], "permanent", "E")
    (row,) = house.web.twin(f"{house.page}/messages")["rows"]
    _edit(house, row["id"], body="\r\none\r\ntwo\r\n", attributes='{"new": 1}')
    (got,) = house.sqs.receive_message(QueueUrl=house.urls[house.name])["Messages"]
    assert got["Body"] == "\none\r\ntwo\n"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"body": ""}, "A message has a body"),
        ({"body": "a\x01"}, "Invalid characters"),
        ({"body": "x" * 1_048_577}, "shorter than 1048576"),
        ({"attributes": "{"}, "not JSON"),
        ({"attributes": '{"a b": "c"}'}, "a b"),
        ({"attributes": '{"n": {"DataType": "Number", "StringValue": "x"}}'}, "n"),
        ({"attributes": json.dumps({f"a{n}": "x" for n in range(11)})}, "maximum [10]"),
        ({"to": "nowhere"}, "There is no queue called nowhere"),
        ({"mark": "1"}, "Which message"),
    ],
)
def test_an_edit_is_checked_as_a_send_is_and_what_was_typed_stays(
    house: House, fields: dict[str, str], said: str
) -> None:
    house.die(["before"], "permanent", "E")
    (row,) = house.web.twin(f"{house.page}/messages")["rows"]
    answer = _edit(house, row["id"], **{"body": "typed <b>", **fields})
    assert answer.status in (400, 404)
    assert said in answer.words
    if answer.status == 400 and "body" not in fields:
        assert "typed &lt;b&gt;" in answer.text
    assert house.bodies(house.dead) == ["before"]


def test_a_megabyte_can_be_edited(house: House) -> None:
    house.die(["é" * 500_000], "permanent", "E")
    (row,) = house.web.twin(f"{house.page}/messages")["rows"]
    assert "Sent to" in _edit(house, row["id"], body="è" * 500_000).words
    (got,) = house.sqs.receive_message(QueueUrl=house.urls[house.name])["Messages"]
    assert got["Body"] == "è" * 500_000


def test_an_edit_of_what_a_consumer_got_meanwhile_is_refused(house: House) -> None:
    house.die(["a"], "permanent", "E")
    (row,) = house.web.twin(f"{house.page}/messages")["rows"]
    house.sqs.receive_message(QueueUrl=house.urls[house.dead], VisibilityTimeout=600)
    for mark in ({"mark": row["mark"]}, {}):
        answer = _edit(house, row["id"], body="b", **mark)
        assert (answer.status, "left alone" in answer.words) == (409, True)
    assert house.bodies(house.dead) == ["a"]
    assert house.bodies(house.name) == []


# Rights -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    def credential(key: tuple[str, str], *actions: str) -> dict[str, Any]:
        limits = {"name": key[0].lower(), "actions": list(actions)} if actions else {}
        return {"access_key": key[0], "secret_key": key[1], "account": "111122223333", **limits}

    credentials = [
        credential((KEY, SECRET)),
        credential(READER, "Get*", "List*"),
        credential(PEEKER, "Get*", "List*", "PeekMessages"),
        credential(MOVER, "Get*", "List*", "PeekMessages", "StartMessageMoveTask"),
    ]
    environment = {"ENCOLA_CREDENTIALS": json.dumps(credentials)}
    with ServerProcess(tmp_path_factory.mktemp("guarded"), environment=environment) as process:
        sqs = client(process.url, **KEY_OPTIONS)
        dead = sqs.create_queue(QueueName="dead")["QueueUrl"]
        policy = {"deadLetterTargetArn": "arn:aws:sqs:us-east-1:111122223333:dead", "maxReceiveCount": "1"}
        live = sqs.create_queue(QueueName="live", Attributes={"RedrivePolicy": json.dumps(policy)})["QueueUrl"]
        sqs.send_message(QueueUrl=live, MessageBody="a")
        sqs.receive_message(QueueUrl=live, VisibilityTimeout=0)
        sqs.receive_message(QueueUrl=live)
        assert (
            sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["All"])["Attributes"]["ApproximateNumberOfMessages"]
            == "1"
        )
        yield process


def _signed_in(server: ServerProcess, key: tuple[str, str]) -> Web:
    web = Web(server.url)
    web.sign_in(*key)
    return web


PAGES = ("messages", "messages/1", "messages/1/body", "messages/1/download", "dead-letters", "dead-letters/messages")


def test_who_may_not_peek_sees_no_message(guarded: ServerProcess) -> None:
    web = _signed_in(guarded, READER)
    for page in PAGES:
        assert web.get(f"/ui/queues/dead/{page}").status == 403, page


def test_who_may_only_peek_is_offered_nothing_and_can_do_nothing(guarded: ServerProcess) -> None:
    web = _signed_in(guarded, PEEKER)
    for page in PAGES:
        text = web.get(f"/ui/queues/dead/{page}").text
        assert "Redrive…" not in text, page
        assert "Delete…" not in text, page
    (row,) = web.twin("/ui/queues/dead/dead-letters/messages")["rows"]
    for act in ("redrive", "delete"):
        path = f"/ui/queues/dead/dead-letters/plan?act={act}&chosen={row['mark']}"
        assert web.get(path).status == 403
        assert web.post(path, page="/ui/queues/dead").status == 403
    assert web.post("/ui/queues/dead/messages/1", {"mark": row["mark"]}, page="/ui/queues/dead").status == 403
    assert web.get("/ui/queues/dead/messages/1/edit").status == 403
    assert len(web.twin("/ui/queues/dead/messages")["rows"]) == 1


def test_who_may_move_may_send_back_but_to_no_queue_where_he_may_not_send(guarded: ServerProcess) -> None:
    web = _signed_in(guarded, MOVER)
    plan = "/ui/queues/dead/dead-letters/plan?act=redrive&scope=all"
    assert web.twin(plan)["plan"]["would"] == 1
    assert web.get(f"{plan}&to=live").status == 403
    mark = web.twin("/ui/queues/dead/messages")["rows"][0]["mark"]
    edit = web.post("/ui/queues/dead/messages/1/edit", {"body": "b", "mark": mark}, page="/ui/queues/dead")
    assert edit.status == 403
    assert web.get("/ui/queues/dead/dead-letters/plan?act=delete&scope=all").status == 403


def test_forms_without_their_token_do_nothing(house: House) -> None:
    house.die(["a"], "permanent", "E")
    (mark,) = house.marks()
    paths = {
        f"{house.page}/plan?act=delete&chosen={mark}": {},
        f"/ui/queues/{house.dead}/messages/{mark.partition('-')[0]}": {"mark": mark},
        f"/ui/queues/{house.dead}/messages/{mark.partition('-')[0]}/edit": {"mark": mark, "body": "b"},
    }
    for path, fields in paths.items():
        assert house.web.post_raw(path, {**fields, "csrf": "x"}).status == 403
    assert house.bodies(house.dead) == ["a"]
