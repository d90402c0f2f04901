"""When a batch is full, how much is taken for it, and how long its messages are leased."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from encola.engine.queue import SECOND
from encola.mappings.batching import (
    CLAIM_MAX,
    FIRST_CLAIM,
    PAYLOAD_BYTES_MAX,
    Gathering,
    effective_visibility,
    payload_of,
)


@pytest.mark.parametrize(
    ("visibility", "window", "timeout", "effective"),
    [
        (30, 0, 30, 30),
        (60, 20, 30, 60),
        (50, 20, 30, 50),
        (49, 20, 30, 80),
        (30, 300, 900, 1230),
        (10, 0, 30, 60),  # the queue was changed after the mapping was made
    ],
)
def test_the_lease_is_the_queues_own_unless_window_and_timeout_exceed_it(
    visibility: int, window: int, timeout: int, effective: int
) -> None:
    assert effective_visibility(visibility * SECOND, window, timeout) == effective * SECOND


def test_without_a_window_a_batch_goes_with_what_is_there() -> None:
    gathering = Gathering(10, 0, 1000)
    gathering.begin(1000)
    gathering.add(100)
    assert gathering.is_over(1000)


def test_a_batch_goes_when_it_is_full_or_its_window_has_ended() -> None:
    gathering = Gathering(2, 5, 1000)
    gathering.begin(2000)  # the window begins with the first message
    gathering.add(100)
    assert [gathering.is_over(at) for at in (2000, 6999, 7000)] == [False, False, True]
    gathering.add(100)
    assert gathering.is_over(2000)


def test_an_event_stays_within_six_megabytes_and_metadata_counts() -> None:
    gathering = Gathering(10_000, 300, 0)
    record = b'"' + b"x" * 99_998 + b'"'
    records = []
    while gathering.add(len(record)):
        records.append(record)
    payload = payload_of(records)
    assert len(payload) <= PAYLOAD_BYTES_MAX < len(payload) + 1 + len(record)
    assert gathering.bytes == len(payload)
    assert gathering.is_over(0)
    assert len(msgspec.json.decode(payload)["Records"]) == len(records)


def test_a_record_that_is_too_large_alone_goes_alone() -> None:
    gathering = Gathering(10, 1, 0)
    assert gathering.add(PAYLOAD_BYTES_MAX + 1)
    assert not gathering.add(10)


def test_first_a_few_are_taken_then_as_many_as_should_fit() -> None:
    gathering = Gathering(10_000, 300, 0)
    assert gathering.next_claim() == FIRST_CLAIM
    gathering.add(1000)
    assert gathering.next_claim() == CLAIM_MAX
    gathering.add(PAYLOAD_BYTES_MAX // 2)
    assert gathering.next_claim() == 1
    assert Gathering(3, 0, 0).next_claim() == 3


@given(st.integers(1, 10_000), st.lists(st.integers(1, 2_000_000), min_size=1, max_size=30))
def test_a_batch_never_outgrows_its_size_nor_the_limit(size: int, lengths: list[int]) -> None:
    gathering = Gathering(size, 1, 0)
    taken = []
    for length in lengths:
        if gathering.is_over(0):
            break
        assert 1 <= gathering.next_claim() <= min(size - gathering.count, CLAIM_MAX)
        if gathering.add(length):
            taken.append(length)
    assert gathering.count == len(taken) <= size
    assert len(taken) == 1 or gathering.bytes <= PAYLOAD_BYTES_MAX
