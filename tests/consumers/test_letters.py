"""Whose a dead letter is, and how it is made once more."""

import json

import pytest

from encola.consumers.letters import body_again, is_of, job_named, kept


def test_a_message_that_names_its_job_is_that_jobs_whatever_its_own_id_is() -> None:
    body = '{"task": "report", "job": "report/may", "args": {}}'
    assert is_of(body, "m1", "office/report/may")
    assert not is_of(body, "m1", "office/report/june")
    assert body_again(body, "office/report/may") == body


def test_a_message_of_a_foreign_producer_is_known_by_its_id_and_names_its_job_from_then_on() -> None:
    body = '{"task": "report", "args": {"month": "may"}}'
    assert is_of(body, "m1", "office/report/m1")
    assert not is_of(body, "m2", "office/report/m1")
    again = json.loads(body_again(body, "office/report/m1"))
    assert again == {"task": "report", "args": {"month": "may"}, "job": "report/m1"}


def test_a_message_for_another_application_is_not_this_jobs_even_if_its_id_is_the_same() -> None:
    """Two applications share a dead-letter queue: a retry of the one's job must not bring back the other's message."""
    body = '{"task": "report", "job": "report/may", "app": "shop"}'
    assert is_of(body, "m1", "shop/report/may")
    assert not is_of(body, "m1", "office/report/may")


@pytest.mark.parametrize(
    "body",
    ["", "no json", "[]", "7", '{"args": {}}', '{"task": 7}', '{"job": {}}', '{"job": ["a"]}', b"\xff", "[" * 9999],
)
def test_what_is_no_message_of_a_job_belongs_to_none(body: str | bytes) -> None:
    assert job_named(body, "m1") == ("", "")
    assert not is_of(body, "m1", "office/None/m1")
    assert not is_of(body, "m1", "office")


def test_what_was_added_on_the_way_to_the_dead_letter_queue_is_left_out() -> None:
    assert kept({"encola.reason": "dead", "encola.error": "x", "encola.due": "7", "tenant": "blue"}) == {
        "encola.due": "7",
        "tenant": "blue",
    }
