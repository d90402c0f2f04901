"""CloudWatch's clients against a real server: what scaling rules, dashboards and exporters ask."""

import datetime
import json
import math
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from encola.metrics.definitions import AWS as NAMESPACE
from encola.metrics.definitions import QUEUE

from ..process import CREDENTIALS, KEY, SECRET, ServerProcess, clean_environment, client

pytestmark = pytest.mark.clients

AWS = str(Path(sys.executable).with_name("aws"))
WAIT_SECONDS_MAX = 30.0
VISIBLE, SENT = "ApproximateNumberOfMessagesVisible", "NumberOfMessagesSent"
NewName = Callable[..., str]


def cloudwatch_of(url: str, key: str = KEY, secret: str = SECRET) -> Any:
    return boto3.client(
        "cloudwatch",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        config=Config(retries={"total_max_attempts": 1}, read_timeout=60),
    )


@pytest.fixture
def cloudwatch(server: ServerProcess) -> Any:
    return cloudwatch_of(server.url)


def metric(name: str, queue: str, namespace: str = NAMESPACE) -> dict[str, Any]:
    return {"Namespace": namespace, "MetricName": name, "Dimensions": [{"Name": "QueueName", "Value": queue}]}


def stat(query_id: str, name: str, queue: str, statistic: str, period: int = 60, **more: Any) -> dict[str, Any]:
    return {
        "Id": query_id,
        "MetricStat": {"Metric": metric(name, queue), "Period": period, "Stat": statistic},
        **more,
    }


def last_minutes(minutes: float = 5) -> dict[str, datetime.datetime]:
    now = datetime.datetime.now(datetime.UTC)
    return {"StartTime": now - datetime.timedelta(minutes=minutes), "EndTime": now}


def eventually(ask: Callable[[], Any], accepted: Callable[[Any], bool]) -> Any:
    """What it answers once that is accepted: metrics are sampled once a second."""
    end = time.monotonic() + WAIT_SECONDS_MAX
    while True:
        found = ask()
        if accepted(found):
            return found
        assert time.monotonic() < end, found
        time.sleep(0.1)


def values(cloudwatch: Any, *queries: dict[str, Any]) -> dict[str, list[float]]:
    results = cloudwatch.get_metric_data(MetricDataQueries=list(queries), **last_minutes())["MetricDataResults"]
    return {one["Id"]: one["Values"] for one in results}


def test_what_was_sent_is_counted_and_what_waits_is_seen(
    cloudwatch: Any, sqs: Any, queue: str, new_name: NewName
) -> None:
    name = queue.rpartition("/")[2]
    for _ in range(7):
        sqs.send_message(QueueUrl=queue, MessageBody="x" * 50)
    sent = {**metric(SENT, name), "Period": 60, "Statistics": ["Sum"]}
    eventually(
        lambda: cloudwatch.get_metric_statistics(**sent, **last_minutes())["Datapoints"],
        lambda points: sum(point["Sum"] for point in points) == 7,
    )
    waiting = eventually(
        lambda: values(
            cloudwatch, stat("m1", VISIBLE, name, "Maximum"), stat("m2", "SentMessageSize", name, "Average")
        ),
        lambda found: found["m1"][:1] == [7],
    )
    assert waiting["m2"] == [50]
    listed = {one["MetricName"] for one in cloudwatch.list_metrics(**metric(SENT, name))["Metrics"]}
    assert listed == {SENT}
    other = new_name()
    assert values(cloudwatch, stat("m1", SENT, other, "Sum")) == {"m1": []}


def test_a_scaling_rule_finds_its_backlog_per_instance(cloudwatch: Any, sqs: Any, queue: str) -> None:
    """As the guide of EC2 Auto Scaling has it: what waits, divided by the instances, against what one may have to do.

    The number of instances comes from another place here; the rule's mathematics is the guide's.
    """
    name = queue.rpartition("/")[2]
    seconds_acceptable, seconds_each, instances = 10, 0.5, 2
    for _ in range(10):
        entries = [{"Id": str(n), "MessageBody": "work"} for n in range(10)]
        sqs.send_message_batch(QueueUrl=queue, Entries=entries)
    rule = [
        stat("m1", VISIBLE, name, "Maximum", ReturnData=False),
        {"Id": "m2", "Expression": f"TIME_SERIES({instances})", "ReturnData": False, "Period": 60},
        {"Id": "e1", "Expression": "m1 / m2", "Label": "Backlog per instance"},
    ]
    backlog = eventually(lambda: values(cloudwatch, *rule)["e1"][:1], lambda found: found == [50])[0]
    target = seconds_acceptable / seconds_each
    assert math.ceil(instances * backlog / target) == 5


def test_errors_are_exceptions_of_the_client(cloudwatch: Any, queue: str) -> None:
    asked = {**metric(SENT, queue.rpartition("/")[2]), **last_minutes(), "Period": 60, "Statistics": ["Sum"]}
    with pytest.raises(cloudwatch.exceptions.InvalidParameterValueException, match="Period"):
        cloudwatch.get_metric_statistics(**{**asked, "Period": 61})
    with pytest.raises(cloudwatch.exceptions.InvalidParameterCombinationException, match="exceeds the limit of 1,440"):
        cloudwatch.get_metric_statistics(**{**asked, **last_minutes(60 * 25)})
    with pytest.raises(cloudwatch.exceptions.InvalidNextToken):
        cloudwatch.get_metric_data(MetricDataQueries=[stat("m1", SENT, "q", "Sum")], NextToken="x", **last_minutes())
    with pytest.raises(ClientError, match="ValidationError"):
        cloudwatch.get_metric_data(MetricDataQueries=[{"Id": "e1", "Expression": "1 +"}], **last_minutes())
    with pytest.raises(ClientError, match="InvalidAction"):
        cloudwatch.put_metric_data(Namespace="mine", MetricData=[{"MetricName": "n", "Value": 1}])


def test_a_wrong_secret_is_told_as_such(keyed_server: ServerProcess) -> None:
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        cloudwatch_of(keyed_server.url, secret="wrong").list_metrics()


def test_the_aws_command_line_reads_statistics(server: ServerProcess, sqs: Any, queue: str) -> None:
    name = queue.rpartition("/")[2]
    sqs.send_message(QueueUrl=queue, MessageBody="x")
    cloudwatch = cloudwatch_of(server.url)
    eventually(lambda: values(cloudwatch, stat("m1", SENT, name, "Sum"))["m1"], lambda found: sum(found) == 1)
    span = {key: value.strftime("%Y-%m-%dT%H:%M:%SZ") for key, value in last_minutes().items()}
    keys = {"AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
    command = [
        AWS, "--endpoint-url", server.url, "cloudwatch", "get-metric-statistics", "--namespace", "AWS/SQS",
        "--metric-name", SENT, "--dimensions", f"Name=QueueName,Value={name}", "--period", "60", "--statistics", "Sum",
        "--start-time", span["StartTime"], "--end-time", span["EndTime"],
    ]  # fmt: skip
    done = subprocess.run(command, env=clean_environment(keys), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["Label"] == SENT
    assert sum(point["Sum"] for point in answer["Datapoints"]) == 1


# An exporter ----------------------------------------------------------------------------------------

MANY = 1000


@pytest.fixture
def crowded(tmp_path: Path) -> Iterator[ServerProcess]:
    """A server with very many queues."""
    queues = json.dumps([{"name": f"q{n:04}"} for n in range(MANY)])
    with ServerProcess(tmp_path, environment={"ENCOLA_CREDENTIALS": CREDENTIALS.replace("111122223333", "000000000000"),
                                              "ENCOLA_QUEUES": queues}) as server:  # fmt: skip
        yield server


def test_an_exporter_reads_all_metrics_of_a_thousand_queues_and_delays_nobody(crowded: ServerProcess) -> None:
    """It lists them, and asks for 500 at a time, as exporters do. Meanwhile others send."""
    cloudwatch = cloudwatch_of(crowded.url)
    sqs = client(crowded.url)
    url = sqs.get_queue_url(QueueName="q0000")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="x")
    eventually(lambda: values(cloudwatch, stat("m1", SENT, "q0000", "Sum"))["m1"], lambda found: sum(found) >= 1)
    pages = cloudwatch.get_paginator("list_metrics").paginate(Namespace=NAMESPACE)
    metrics = [one for page in pages for one in page["Metrics"]]
    assert len(metrics) == MANY * sum(one.namespace == NAMESPACE for one in QUEUE)
    span = last_minutes()
    answered: list[dict[str, Any]] = []

    def export() -> None:
        for begin in range(0, len(metrics), 500):
            queries = [
                {"Id": f"id_{n}", "MetricStat": {"Metric": one, "Period": 300, "Stat": "Sum"}}
                for n, one in enumerate(metrics[begin : begin + 500])
            ]
            answer = cloudwatch.get_metric_data(MetricDataQueries=queries, **span)
            assert "NextToken" not in answer
            answered.extend(answer["MetricDataResults"])

    exporter = threading.Thread(target=export)
    exporter.start()
    sent = 0
    while exporter.is_alive():
        sqs.send_message(QueueUrl=url, MessageBody="x")
        sent += 1
    exporter.join()
    assert len(answered) == len(metrics)
    assert all(one["StatusCode"] == "Complete" for one in answered)
    with_values = sum(bool(one["Values"]) for one in answered)
    assert with_values >= len(metrics) - MANY  # all but the sizes of what was never sent
    assert sent > len(metrics) // 500  # more than one a request: they do not wait for each other
