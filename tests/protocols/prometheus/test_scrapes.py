"""``/metrics`` of a real server, read by Prometheus' own parsers."""

import base64
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open
from prometheus_client.parser import text_string_to_metric_families as parse

from encola.metrics.families import QUEUE
from encola.metrics.prometheus import families

from ...process import ACCOUNT, CREDENTIALS, KEY, KEY_OPTIONS, SECRET, ServerProcess, client

LIMITED = ("AKIDLIMITED", "the-secret-of-some-queues")
BLIND = ("AKIDBLIND", "the-secret-of-a-sender")
SECONDS_MAX = 20.0


def scrape(url: str, key: tuple[str, str] | None = None, **headers: str) -> str:
    request = urllib.request.Request(url if "/metrics" in url else f"{url}/metrics", headers=headers)
    if key is not None:
        request.add_header("Authorization", "Basic " + base64.b64encode(":".join(key).encode()).decode())
    with urllib.request.urlopen(request, timeout=20) as answer:
        text: str = answer.read().decode()
        return text


def refused(url: str, key: tuple[str, str] | None = None) -> int:
    with pytest.raises(urllib.error.HTTPError) as caught:
        scrape(url, key)
    return caught.value.code


def samples(text: str, queue: str | None = None) -> dict[str, float]:
    """The value of each sample: those of the server, or those of a queue."""
    return {
        sample.name: sample.value
        for family in parse(text)
        for sample in family.samples
        if sample.labels.get("queue") == queue and "le" not in sample.labels
    }


def when(url: str, queue: str, name: str, value: float) -> dict[str, float]:
    """The samples of a queue once one of them has this value: they are those of the last second."""
    end = time.monotonic() + SECONDS_MAX
    while (found := samples(scrape(url), queue)).get(name) != value:
        assert time.monotonic() < end, found
        time.sleep(0.1)
    return found


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("metrics")) as process:
        yield process
        assert process.stop() == 0
        assert "Traceback" not in process.logged()


@pytest.fixture(scope="module")
def sqs(server: ServerProcess) -> Any:
    return client(server.url)


def test_a_queues_metrics_follow_what_happens_to_it(server: ServerProcess, sqs: Any) -> None:
    dead = sqs.create_queue(QueueName="work-dead")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    rule = f'{{"deadLetterTargetArn": "{arn}", "maxReceiveCount": "1"}}'
    url = sqs.create_queue(QueueName="work", Attributes={"RedrivePolicy": rule, "VisibilityTimeout": "60"})["QueueUrl"]
    sqs.send_message_batch(QueueUrl=url, Entries=[{"Id": str(n), "MessageBody": "x" * 10} for n in range(8)])
    sqs.send_message(QueueUrl=url, MessageBody="later", DelaySeconds=900)
    got = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=3)["Messages"]
    for message in got[:2]:
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=got[2]["ReceiptHandle"], VisibilityTimeout=0)
    while "Messages" in (answer := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=1)):
        assert answer["Messages"][0]["MessageId"] != got[2]["MessageId"]  # that one is a dead letter now
    found = when(server.url, "work", "encola_queue_messages_not_visible", 5)
    expected = {
        "messages_visible": 0,
        "messages_delayed": 1,
        "messages_sent_total": 9,
        "sent_bytes_total": 85,
        "messages_received_total": 8,
        "messages_deleted_total": 2,
        "empty_receives_total": 1,
        "messages_dead_lettered_total": 1,
        "paused": 0,
    }
    assert {name: found[f"encola_queue_{name}"] for name in expected} == expected
    assert found["encola_queue_arrivals_per_second"] > 0
    assert found["encola_queue_oldest_message_age_seconds"] >= 0
    assert when(server.url, "work-dead", "encola_queue_messages_visible", 1)


def test_all_that_is_declared_is_told_in_both_formats(server: ServerProcess, sqs: Any) -> None:
    sqs.create_queue(QueueName="any")
    when(server.url, "any", "encola_queue_paused", 0)
    text = scrape(server.url)
    told = {family.name: family for family in parse(text)}
    for name, kind in families().items():
        family = told[name.removesuffix("_total") if kind == "counter" else name]
        assert family.type == kind, name
        assert family.documentation, name
    open_text = scrape(server.url, Accept="application/openmetrics-text")
    assert open_text.endswith("# EOF\n")
    assert {family.name for family in parse_open(open_text)} == set(told)
    of_any = {s.name for family in told.values() for s in family.samples if s.labels.get("queue") == "any"}
    assert of_any == {family.name for family in QUEUE}
    commits = told["encola_commit_seconds"].samples
    counts = [sample.value for sample in commits if sample.name.endswith("_bucket")]
    assert counts == sorted(counts)
    assert counts[-1] == next(sample.value for sample in commits if sample.name.endswith("_count")) > 0


def test_a_scraper_may_ask_for_some_queues(server: ServerProcess, sqs: Any) -> None:
    for name in ("pick-1", "pick-2", "leave"):
        sqs.create_queue(QueueName=name)
    text = scrape(f"{server.url}/metrics?queue=pick-*")
    assert 'queue="pick-1"' in text
    assert 'queue="pick-2"' in text
    assert 'queue="leave"' not in text
    assert refused(f"{server.url}/metrics?" + "&".join(["queue=x"] * 21)) == 400


def test_an_account_sees_its_own_queues_and_a_credential_those_that_it_names(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    more = (
        f', {{"access_key": "{LIMITED[0]}", "secret_key": "{LIMITED[1]}", "account": "{ACCOUNT}", "queues": ["mine*"]}}'
        f', {{"access_key": "{BLIND[0]}", "secret_key": "{BLIND[1]}", "account": "{ACCOUNT}", "actions": ["Send*"]}}'
        ', {"access_key": "AKIDOTHER", "secret_key": "another-account", "account": "999988887777"}]'
    )
    environment = {"ENCOLA_CREDENTIALS": CREDENTIALS[:-1] + more}
    with ServerProcess(tmp_path_factory.mktemp("guarded"), environment=environment) as process:
        sqs = client(process.url, **KEY_OPTIONS)
        for name in ("mine-1", "theirs"):
            sqs.create_queue(QueueName=name)
        assert refused(process.url) == 401
        assert refused(process.url, (KEY, "wrong")) == 401
        assert refused(process.url, ("unknown", SECRET)) == 401
        assert refused(process.url, BLIND) == 403
        own = scrape(process.url, (KEY, SECRET))
        assert 'queue="theirs"' in own
        assert "encola_store_bytes" in own
        limited = scrape(process.url, LIMITED)
        assert 'queue="mine-1"' in limited
        assert "theirs" not in limited
        assert "encola_store_bytes" not in limited
        assert "mine-1" not in scrape(process.url, ("AKIDOTHER", "another-account"))


def test_metrics_may_be_public_where_all_else_is_not(tmp_path_factory: pytest.TempPathFactory) -> None:
    environment = {"ENCOLA_CREDENTIALS": CREDENTIALS, "ENCOLA_METRICS__PUBLIC": "true"}
    with ServerProcess(tmp_path_factory.mktemp("public"), environment=environment) as process:
        assert "encola_build_info" in scrape(process.url)
