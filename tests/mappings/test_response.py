"""What each odd answer of a function means for its batch."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from encola.mappings.response import Verdict, judge

IDS = ["m0", "m1", "m2", "m3"]
ALL = (0, 1, 2, 3)


def named(*ids: Any) -> bytes:
    return json.dumps({"batchItemFailures": [{"itemIdentifier": one} for one in ids]}).encode()


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"  ",
        b"null",
        b'""',
        b"[]",
        b"{}",
        b'{"batchItemFailures": []}',
        b'{"batchItemFailures": null}',
        b'{"something": "else"}',
    ],
)
def test_these_answers_are_a_full_success(payload: bytes) -> None:
    assert judge(payload, IDS, None, reports=True) == Verdict(done=ALL)


@pytest.mark.parametrize(
    "payload",
    [
        b"{broken",
        b"\xff\xfe",
        b"[" * 100_000,
        b"true",
        b"5",
        b'"text"',
        b'["m1"]',
        b'{"batchItemFailures": "m1"}',
        b'{"batchItemFailures": {"itemIdentifier": "m1"}}',
        b'{"batchItemFailures": ["m1"]}',
        b'{"batchItemFailures": [null]}',
        b'{"batchItemFailures": [{}]}',
        b'{"batchItemFailures": [{"itemidentifier": "m1"}]}',
        named(""),
        named(None),
        named(5),
        named("unknown"),
        named("m1", "unknown"),
        named("m1", ""),
    ],
)
def test_these_answers_are_a_full_failure(payload: bytes) -> None:
    verdict = judge(payload, IDS, None, reports=True)
    assert verdict == Verdict(failed=ALL, problem=verdict.problem)
    assert verdict.problem


@pytest.mark.parametrize("payload", [b"", b"{broken", b"5", named("m1"), named("unknown")])
def test_without_report_batch_item_failures_every_answer_is_a_success(payload: bytes) -> None:
    assert judge(payload, IDS, None, reports=False) == Verdict(done=ALL)


def test_what_is_named_comes_again_and_the_rest_is_done() -> None:
    assert judge(named("m1", "m3", "m1"), IDS, None, reports=True) == Verdict(done=(0, 2), failed=(1, 3))


def test_on_an_ordered_queue_what_follows_a_failure_in_its_group_is_held() -> None:
    groups = ["a", "a", "b", "a"]
    assert judge(named("m1"), IDS, groups, reports=True) == Verdict(done=(0, 2), failed=(1,), held=(3,))


def test_on_an_ordered_queue_a_function_that_names_failed_and_unprocessed_is_taken_at_its_word() -> None:
    groups = ["a", "a", "a", "a"]
    assert judge(named("m1", "m2", "m3"), IDS, groups, reports=True) == Verdict(done=(0,), failed=(1, 2, 3))


@given(st.sets(st.sampled_from(range(6))), st.lists(st.sampled_from("abc"), min_size=6, max_size=6))
def test_nothing_is_done_after_a_failure_of_its_group_and_every_message_has_one_verdict(
    failed: set[int], groups: list[str]
) -> None:
    ids = [f"m{at}" for at in range(6)]
    verdict = judge(named(*(ids[at] for at in failed)), ids, groups, reports=True)
    assert sorted(verdict.done + verdict.failed + verdict.held) == list(range(6))
    assert set(verdict.failed) == failed
    for at in verdict.done:
        assert not any(groups[earlier] == groups[at] for earlier in failed if earlier < at)


@given(st.binary(max_size=40))
def test_any_answer_has_a_verdict(payload: bytes) -> None:
    verdict = judge(payload, IDS, None, reports=True)
    assert sorted(verdict.done + verdict.failed) == list(ALL)
