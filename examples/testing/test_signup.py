"""Each test has a server of its own, with the queue made before it starts: ``pytest examples/testing``."""

from typing import Any

import boto3
import pytest

from encola.testing import EncolaServer
from examples.testing.signup import QUEUE, send_next_mail, sign_up

pytestmark = pytest.mark.encola(queues=[QUEUE])


@pytest.fixture
def sqs(encola_server: EncolaServer) -> Any:
    return boto3.client("sqs", **encola_server.client_options)


def test_who_signs_up_gets_a_mail(sqs: Any) -> None:
    sent: list[str] = []
    sign_up(sqs, "ada@example.org")
    assert send_next_mail(sqs, sent.append)
    assert sent == ["ada@example.org"]
    assert not send_next_mail(sqs, sent.append)


def test_a_mail_that_could_not_be_sent_stays_on_the_queue(sqs: Any, encola_server: EncolaServer) -> None:
    def broken(address: str) -> None:
        raise ConnectionError(address)

    sign_up(sqs, "grace@example.org")
    with pytest.raises(ConnectionError):
        send_next_mail(sqs, broken)
    counts = sqs.get_queue_attributes(
        QueueUrl=encola_server.queue_url(QUEUE), AttributeNames=["ApproximateNumberOfMessagesNotVisible"]
    )
    assert counts["Attributes"] == {"ApproximateNumberOfMessagesNotVisible": "1"}
