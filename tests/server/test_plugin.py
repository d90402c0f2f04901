"""encola.testing and its pytest fixtures: a fresh server for a test of somebody else's SQS code."""

import threading
import time
from pathlib import Path
from urllib.request import urlopen

import boto3
import pytest

from encola.testing import EncolaServer

pytest_plugins = ["pytester"]


def test_servers_are_fresh_empty_and_apart() -> None:
    with EncolaServer(queues=["a", "b.fifo"]) as first, EncolaServer() as second:
        one = boto3.client("sqs", **first.client_options)
        other = boto3.client("sqs", **second.client_options)
        assert one.list_queues()["QueueUrls"] == [first.queue_url("a"), first.queue_url("b.fifo")]
        assert "QueueUrls" not in other.list_queues()
        # The sixty-second rules are not in the way of a test.
        for _ in range(2):
            one.purge_queue(QueueUrl=first.queue_url("a"))
        one.delete_queue(QueueUrl=first.queue_url("a"))
        one.create_queue(QueueName="a")


def test_a_strict_server_keeps_the_sixty_second_rules() -> None:
    with EncolaServer(queues=["a"], strict=True) as server:
        sqs = boto3.client("sqs", **server.client_options)
        sqs.purge_queue(QueueUrl="a")
        with pytest.raises(sqs.exceptions.PurgeQueueInProgress):
            sqs.purge_queue(QueueUrl="a")


def test_with_a_data_directory_it_can_be_stopped_and_started_again(tmp_path: Path) -> None:
    server = EncolaServer(queues=["a"], data=tmp_path / "data")
    with server:
        boto3.client("sqs", **server.client_options).send_message(QueueUrl="a", MessageBody="kept")
        server.stop()
        server.stop()  # nothing happens
        server.start()
        sqs = boto3.client("sqs", **server.client_options)
        assert sqs.receive_message(QueueUrl="a")["Messages"][0]["Body"] == "kept"


def test_what_keeps_it_from_starting_is_raised(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a b"):
        EncolaServer(queues=["a b"]).start()
    with EncolaServer(data=tmp_path), pytest.raises(Exception, match="in use"):
        EncolaServer(data=tmp_path).start()


def test_a_parked_receive_does_not_keep_it_from_stopping() -> None:
    answers: list[object] = []
    with EncolaServer(queues=["a"]) as server:
        sqs = boto3.client("sqs", **server.client_options)
        poll = threading.Thread(target=lambda: answers.append(sqs.receive_message(QueueUrl="a", WaitTimeSeconds=20)))
        poll.start()
        end = time.monotonic() + 10
        while b'"waiting_receives":1' not in urlopen(f"{server.url}/health/live").read():
            assert time.monotonic() < end
    poll.join(10)
    assert ["Messages" in answer for answer in answers] == [False]  # type: ignore[operator]


def test_the_fixtures_serve_tests_of_other_projects(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import boto3, pytest

        def test_a_url_is_enough(encola_url):
            sqs = boto3.client("sqs", endpoint_url=encola_url, region_name="eu-west-1",
                               aws_access_key_id="AKIDENCOLATESTING000",
                               aws_secret_access_key="encola-testing-secret")
            assert "QueueUrls" not in sqs.list_queues()

        @pytest.mark.encola(queues=["orders", "orders.fifo"], strict=True)
        def test_queues_are_there(encola_server):
            sqs = boto3.client("sqs", **encola_server.client_options)
            assert len(sqs.list_queues()["QueueUrls"]) == 2
            with pytest.raises(sqs.exceptions.QueueDeletedRecently):
                sqs.delete_queue(QueueUrl="orders")
                sqs.create_queue(QueueName="orders")

        @pytest.mark.encola(queues=["orders"])
        def test_code_without_any_argument_is_led_there(encola_environment):
            sqs = boto3.client("sqs")
            sqs.send_message(QueueUrl="orders", MessageBody="m")
            assert sqs.get_queue_url(QueueName="orders")["QueueUrl"] == encola_environment.queue_url("orders")

        def test_nothing_is_left_of_it():
            import os
            assert "AWS_ENDPOINT_URL_SQS" not in os.environ
        """
    )
    result = pytester.runpytest_subprocess("-q", "--strict-markers", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=4)


def test_the_plugin_costs_other_test_runs_nothing(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_it_is_not_loaded_until_it_is_used():
            assert not {"encola.testing", "encola.server.compose", "uvloop", "apsw"} & sys.modules.keys()
        """
    )
    pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider").assert_outcomes(passed=1)
