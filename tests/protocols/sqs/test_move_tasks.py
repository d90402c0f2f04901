"""Message move tasks: from a dead-letter queue back to where its messages came from, or elsewhere."""

import asyncio
import base64
import json

import pytest

from encola.broker import moves
from encola.broker.broker import Broker

from ...broker.conftest import TestClock
from .client import Client, bodies

STORES = ("memory", "sqlite")


def policy(sqs: Client) -> str:
    return json.dumps({"deadLetterTargetArn": sqs.arn("dead"), "maxReceiveCount": 1})


async def finished(broker: Broker) -> None:
    await asyncio.gather(*broker._moves._runners.values())


async def kill(sqs: Client, url: str, clock: TestClock, *messages: str) -> None:
    """Sends messages that end on the dead-letter queue."""
    for body in messages:
        await sqs.send(url, body)
    await sqs.receive(url)
    clock.turn(30_000)
    assert await sqs.receive(url) == []


@pytest.fixture
async def dead(sqs: Client) -> str:
    return await sqs.queue("dead")


@pytest.fixture
async def url(sqs: Client, dead: str) -> str:
    return await sqs.queue(RedrivePolicy=policy(sqs))


async def test_messages_go_back_to_their_own_sources(
    sqs: Client, dead: str, url: str, broker: Broker, clock: TestClock
) -> None:
    other = await sqs.queue("other", RedrivePolicy=policy(sqs))
    await kill(sqs, url, clock, "1", "2")
    await kill(sqs, other, clock, "3")
    await sqs("StartMessageMoveTask", SourceArn=sqs.arn("dead"))
    await finished(broker)
    assert bodies(await sqs.receive(url)) == ["1", "2"]
    assert bodies(await sqs.receive(other)) == ["3"]
    assert await sqs.counts(dead) == (0, 0, 0)
    (task,) = (await sqs("ListMessageMoveTasks", SourceArn=sqs.arn("dead")))["Results"]
    started = task.pop("StartedTimestamp")
    assert abs(started - clock.now()) < 60_000
    assert task == {
        "Status": "COMPLETED",
        "SourceArn": sqs.arn("dead"),
        "ApproximateNumberOfMessagesMoved": 3,
        "ApproximateNumberOfMessagesToMove": 3,
    }


async def test_a_moved_message_is_a_new_one(sqs: Client, dead: str, url: str, broker: Broker, clock: TestClock) -> None:
    await kill(sqs, url, clock, "1")
    (before,) = await sqs.receive(dead, VisibilityTimeout=0, MessageSystemAttributeNames=["All"])
    clock.turn(5_000)
    await sqs("StartMessageMoveTask", SourceArn=sqs.arn("dead"))
    await finished(broker)
    (after,) = await sqs.receive(url, MessageSystemAttributeNames=["All"])
    assert after["MessageId"] != before["MessageId"]
    assert int(after["Attributes"]["SentTimestamp"]) >= int(before["Attributes"]["SentTimestamp"]) + 35_000
    assert after["Attributes"]["ApproximateReceiveCount"] == "1"
    assert "DeadLetterQueueSourceArn" not in after["Attributes"]


async def test_all_messages_can_go_to_one_destination(
    sqs: Client, dead: str, url: str, broker: Broker, clock: TestClock
) -> None:
    target = await sqs.queue("target")
    await kill(sqs, url, clock, "1")
    await sqs.send(dead, "sent here by hand")
    await sqs("StartMessageMoveTask", SourceArn=sqs.arn("dead"), DestinationArn=sqs.arn("target"))
    await finished(broker)
    assert sorted(bodies(await sqs.receive(target))) == ["1", "sent here by hand"]
    (task,) = (await sqs("ListMessageMoveTasks", SourceArn=sqs.arn("dead")))["Results"]
    assert (task["Status"], task["DestinationArn"]) == ("COMPLETED", sqs.arn("target"))


async def test_only_visible_messages_are_moved(
    sqs: Client, dead: str, url: str, broker: Broker, clock: TestClock
) -> None:
    await kill(sqs, url, clock, "1")
    assert len(await sqs.receive(dead)) == 1
    await sqs("StartMessageMoveTask", SourceArn=sqs.arn("dead"))
    await finished(broker)
    assert await sqs.counts(url) == (0, 0, 0)
    assert await sqs.counts(dead) == (0, 1, 0)


async def test_a_running_task_can_be_cancelled_once(
    sqs: Client, dead: str, url: str, broker: Broker, clock: TestClock
) -> None:
    await kill(sqs, url, clock, *"123456")
    started = await sqs("StartMessageMoveTask", SourceArn=sqs.arn("dead"), MaxNumberOfMessagesPerSecond=5)
    (running,) = (await sqs("ListMessageMoveTasks", SourceArn=sqs.arn("dead")))["Results"]
    assert (running["Status"], running["MaxNumberOfMessagesPerSecond"]) == ("RUNNING", 5)
    assert running["TaskHandle"] == started["TaskHandle"]
    again = await sqs.refusal("StartMessageMoveTask", SourceArn=sqs.arn("dead"))
    assert again.told == (
        "InvalidParameterValue",
        "There is already a task running. Only one active task is allowed for a source queue arn at a given time.",
    )
    await sqs("CancelMessageMoveTask", TaskHandle=started["TaskHandle"])
    await finished(broker)
    (cancelled,) = (await sqs("ListMessageMoveTasks", SourceArn=sqs.arn("dead")))["Results"]
    assert cancelled["Status"] == "CANCELLED"
    assert "TaskHandle" not in cancelled
    moved = cancelled["ApproximateNumberOfMessagesMoved"]
    assert (await sqs.counts(url))[0] == moved < 6
    assert (await sqs.counts(dead))[0] == 6 - moved
    error = await sqs.refusal("CancelMessageMoveTask", TaskHandle=started["TaskHandle"])
    assert (*error.told, error.status) == ("ResourceNotFoundException", "Task does not exist.", 404)


async def test_a_task_fails_when_its_destination_goes_away(
    sqs: Client, dead: str, url: str, broker: Broker, clock: TestClock
) -> None:
    target = await sqs.queue("target")
    await kill(sqs, url, clock, *"123456")
    given = {"SourceArn": sqs.arn("dead"), "DestinationArn": sqs.arn("target"), "MaxNumberOfMessagesPerSecond": 5}
    await sqs("StartMessageMoveTask", **given)
    await sqs("DeleteQueue", QueueUrl=target)
    await finished(broker)
    (task,) = (await sqs("ListMessageMoveTasks", SourceArn=sqs.arn("dead")))["Results"]
    assert (task["Status"], task["FailureReason"]) == ("FAILED", "AWS.SimpleQueueService.NonExistentQueue")
    assert sum(await sqs.counts(dead)) + task["ApproximateNumberOfMessagesMoved"] == 6


async def test_tasks_are_listed_latest_first_one_by_default_and_ten_at_most(
    sqs: Client, dead: str, url: str, broker: Broker, clock: TestClock
) -> None:
    for _ in range(11):
        await sqs("StartMessageMoveTask", SourceArn=sqs.arn("dead"))
        await finished(broker)
        clock.turn(1000)
    listed = [
        (await sqs("ListMessageMoveTasks", SourceArn=sqs.arn("dead"), **more))["Results"]
        for more in ({}, {"MaxResults": 3}, {"MaxResults": 10})
    ]
    assert [len(tasks) for tasks in listed] == [1, 3, 10]
    times = [task["StartedTimestamp"] for task in listed[2]]
    assert times == sorted(times, reverse=True)
    assert listed[2][:3] == listed[1]


async def test_a_queue_without_tasks(either: Client) -> None:
    await either.queue("dead")
    found = await either("ListMessageMoveTasks", SourceArn=either.arn("dead"))
    assert found == ({"Results": []} if either.protocol == "json" else {})


async def test_an_account_may_have_a_hundred_active_tasks(
    sqs: Client, dead: str, url: str, clock: TestClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert moves.ACTIVE_MAX == 100
    monkeypatch.setattr(moves, "ACTIVE_MAX", 1)
    await kill(sqs, url, clock, "1", "2")
    await sqs("StartMessageMoveTask", SourceArn=sqs.arn("dead"), MaxNumberOfMessagesPerSecond=1)
    await sqs.queue("dead-2")
    await sqs.queue("work-2", RedrivePolicy=policy(sqs).replace(":dead", ":dead-2"))
    error = await sqs.refusal("StartMessageMoveTask", SourceArn=sqs.arn("dead-2"))
    assert (error.code, error.status) == ("OverLimit", 403)


def handle(task: object, arn: object) -> str:
    return base64.b64encode(json.dumps({"taskId": task, "sourceArn": arn}).encode()).decode()


NO_SOURCE, NO_DESTINATION = (
    ("ResourceNotFoundException", f"The resource that you specified for the {name} parameter doesn't exist.")
    for name in ("SourceArn", "DestinationArn")
)


@pytest.mark.parametrize(
    ("task_handle", "told"),
    [
        ("nonsense", ("InvalidParameterValue", "Value for parameter TaskHandle is invalid.")),
        ("bm9uc2Vuc2U=", ("InvalidParameterValue", "Value for parameter TaskHandle is invalid.")),
        ("e30=", ("InvalidParameterValue", "Value for parameter TaskHandle is invalid.")),
        ("é", ("InvalidParameterValue", "Value for parameter TaskHandle is invalid.")),
        (handle(1, 2), ("InvalidParameterValue", "Value for parameter TaskHandle is invalid.")),
        (handle("x", "arn:aws:sqs:us-east-1:111122223333:missing"),
         NO_SOURCE),
        (handle("x", "nonsense"),
         NO_SOURCE),
        (handle("x", "arn:aws:sqs:us-east-1:111122223333:dead"),
         ("ResourceNotFoundException", "Task does not exist.")),
    ],
)  # fmt: skip
async def test_wrong_task_handles(either: Client, task_handle: str, told: tuple[str, str]) -> None:
    await either.queue("dead")
    error = await either.refusal("CancelMessageMoveTask", TaskHandle=task_handle)
    assert error.told == told


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"SourceArn": "work"},
         ("InvalidParameterValue", "Source queue must be configured as a Dead Letter Queue.")),
        ({"SourceArn": "missing"},
         NO_SOURCE),
        ({"SourceArn": "dead", "DestinationArn": "missing"},
         NO_DESTINATION),
        ({"SourceArn": "dead", "DestinationArn": "line.fifo"},
         ("InvalidParameterValue", "Source and destination queues must be of the same type.")),
        ({"SourceArn": "dead", "DestinationArn": "dead"},
         ("InvalidParameterValue", "Source queue arn and destination queue arn cannot be the same.")),
        ({"SourceArn": "dead", "MaxNumberOfMessagesPerSecond": 0},
         ("InvalidParameterValue", "Value 0 for parameter MaxNumberOfMessagesPerSecond is invalid. "
          "Reason: Must be between 1 and 500, if provided.")),
        ({"SourceArn": "dead", "MaxNumberOfMessagesPerSecond": 501},
         ("InvalidParameterValue", "Value 501 for parameter MaxNumberOfMessagesPerSecond is invalid. "
          "Reason: Must be between 1 and 500, if provided.")),
    ],
)  # fmt: skip
async def test_wrong_starts(sqs: Client, url: str, given: dict[str, str | int], told: tuple[str, str]) -> None:
    await sqs.queue("line.fifo")
    named = {name: sqs.arn(value) if isinstance(value, str) else value for name, value in given.items()}
    assert (await sqs.refusal("StartMessageMoveTask", **named)).told == told


@pytest.mark.parametrize("wrong", [-1, 0, 11])
async def test_a_wrong_number_of_tasks_to_list(sqs: Client, dead: str, wrong: int) -> None:
    error = await sqs.refusal("ListMessageMoveTasks", SourceArn=sqs.arn("dead"), MaxResults=wrong)
    assert error.told == (
        "InvalidParameterValue",
        f"Value {wrong} for parameter MaxResults is invalid. Reason: Must be between 1 and 10, if provided.",
    )


@pytest.mark.parametrize("operation", ["StartMessageMoveTask", "ListMessageMoveTasks"])
@pytest.mark.parametrize("arn", ["x", "arn:aws:sqs:us-east-1:1:dead", "arn:aws:sns:us-east-1:111122223333:dead"])
async def test_what_is_no_arn_of_a_queue(sqs: Client, dead: str, operation: str, arn: str) -> None:
    error = await sqs.refusal(operation, SourceArn=arn)
    assert (error.code, error.status) == ("ResourceNotFoundException", 404)
