"""What a server logs: events and requests, never what messages hold, never a secret, a signature or a receipt."""

import io
import json
import logging
from contextlib import suppress
from pathlib import Path
from urllib.request import urlopen

import msgspec
import pytest

from encola.broker.broker import Broker
from encola.server.logs import JsonFormatter, TextFormatter
from encola.testing import EncolaServer

from ..process import CREDENTIALS, KEY, SECRET, ServerProcess, client

Output = tuple[logging.Logger, io.StringIO, "logging.StreamHandler[io.StringIO]"]

PAYLOAD = "the-payload-of-a-customer"
GROUP = "group-of-a-customer"


def test_a_busy_server_logs_requests_without_what_they_hold(tmp_path: Path) -> None:
    variables = {"ENCOLA_CREDENTIALS": CREDENTIALS, "ENCOLA_LOG__ACCESS": "true", "ENCOLA_LOG__LEVEL": "debug"}
    with ServerProcess(tmp_path, environment=variables) as server:
        sqs = client(server.url)
        url = sqs.create_queue(QueueName="work.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
        attribute = {"name": {"DataType": "String", "StringValue": PAYLOAD}}
        for n in range(20):
            sqs.send_message(
                QueueUrl=url,
                MessageBody=f"{PAYLOAD} {n}",
                MessageGroupId=GROUP,
                MessageDeduplicationId=f"{PAYLOAD}{n}",
                MessageAttributes=attribute,
            )
        (message, *_) = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        # Errors are no way around it.
        with suppress(sqs.exceptions.ClientError):
            sqs.send_message(QueueUrl=url, MessageBody=f"{PAYLOAD}\x01", MessageGroupId="g")
        with suppress(sqs.exceptions.ClientError):
            sqs.delete_message(QueueUrl=url, ReceiptHandle=f"{message['ReceiptHandle']}x")
        with suppress(sqs.exceptions.ClientError):
            client(server.url, aws_secret_access_key=f"wrong-{SECRET}").send_message(QueueUrl=url, MessageBody=PAYLOAD)
        presigned = sqs.generate_presigned_url("list_queues", {})
        with suppress(OSError):
            urlopen(f"{presigned}&MessageBody={PAYLOAD}")
        assert server.stop() == 0
        log = server.logged()
    lines = [json.loads(line) for line in log.splitlines()]
    requests = [line for line in lines if line["logger"] == "encola.access"]
    assert len(requests) >= 25
    assert {"method", "path", "action", "status", "milliseconds", "request_bytes", "peer"} <= requests[0].keys()
    assert [line["action"] for line in requests[:2]] == ["CreateQueue", "SendMessage"]
    assert {line["status"] for line in requests} == {200, 400, 403, 404}
    for hidden in (PAYLOAD, GROUP, SECRET, KEY, "Signature", message["ReceiptHandle"][:40]):
        assert hidden not in log


def test_a_failure_of_our_own_is_logged_with_its_place_but_not_its_words(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(*arguments: object) -> None:
        raise ValueError(f"cannot make sense of {PAYLOAD}") from KeyError(PAYLOAD)

    monkeypatch.setattr(Broker, "send", fail)
    with EncolaServer(queues=["work"]) as server, caplog.at_level(logging.DEBUG, "encola"):
        sqs = client(server.url, **{k: v for k, v in server.client_options.items() if k.startswith("aws")})
        with pytest.raises(sqs.exceptions.ClientError) as caught:
            sqs.send_message(QueueUrl=server.queue_url("work"), MessageBody=PAYLOAD)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500
    assert "Traceback" not in str(caught.value.response)
    assert "test_logs.py" not in str(caught.value.response)
    told = caplog.text
    assert "ValueError" in told
    assert "test_logs.py" in told  # where it happened
    assert PAYLOAD not in told


@pytest.fixture
def output() -> Output:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logger = logging.Logger("a.name")
    logger.addHandler(handler)
    return logger, stream, handler


def test_a_json_line_has_everything(output: Output) -> None:
    logger, stream, handler = output
    handler.setFormatter(JsonFormatter())
    try:
        raise RuntimeError("broken\nin two")
    except RuntimeError:
        logger.exception("it %s", "failed", extra={"fields": {"queue": "work", "count": 3}})
    (line,) = stream.getvalue().splitlines()
    found = msgspec.json.decode(line, type=dict[str, object])
    assert (found["level"], found["logger"], found["message"]) == ("error", "a.name", "it failed")
    assert (found["queue"], found["count"]) == ("work", 3)
    assert "broken\nin two" in str(found["traceback"])
    assert str(found["time"]).endswith("+00:00")


def test_a_text_line_has_its_fields(output: Output) -> None:
    logger, stream, handler = output
    handler.setFormatter(TextFormatter())
    logger.info("plain")
    logger.info("ready", extra={"fields": {"queue": "work"}})
    plain, ready = stream.getvalue().splitlines()
    assert plain.endswith("INFO    plain")
    assert ready.endswith("INFO    ready  queue=work")
