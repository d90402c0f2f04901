"""The pure rules of the client: what an answer means, what is tried again, what fits into a request."""

import itertools

import pytest

from encola.consumers.sqs.answers import ServiceFault, entry_error, fault_of
from encola.consumers.sqs.batches import BYTES_MAX, answers, portions, size_of
from encola.consumers.sqs.shapes import AttributeValue, BatchAnswer, Done, Failed, SendEntry
from encola.consumers.sqs.tries import REPEAT_SECONDS_MAX, TRIES_MAX, BrokenError, Repeat, Tries
from encola.consumers.transport import NoQueueError, RefusedError, TransportError

# Answers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        (
            400,
            b'{"__type": "com.amazonaws.sqs#QueueDoesNotExist", "message": "none"}',
            NoQueueError,
            "QueueDoesNotExist",
        ),
        (400, b'{"__type": "AWS.SimpleQueueService.NonExistentQueue"}', NoQueueError, None),
        (403, b'{"__type": "AccessDeniedException", "Message": "no"}', RefusedError, "AccessDeniedException"),
        (403, b'{"__type": "RequestThrottled", "message": "slower"}', TransportError, None),
        (403, b'{"__type": "OverLimit", "message": "120000 in flight"}', TransportError, None),
        (503, b'{"__type": "com.amazonaws.sqs#ServiceUnavailable", "message": "later"}', TransportError, None),
        (502, b"<html>Bad Gateway</html>", TransportError, None),
        (429, b"", TransportError, None),
        (404, b"<html>no such page</html>", RefusedError, "HTTP 404"),
        (400, b"[1]", RefusedError, "HTTP 400"),
        (400, b'{"__type": 7}', RefusedError, "7"),
        (301, b"", RefusedError, "HTTP 301"),
    ],
)
def test_an_error_of_the_service_becomes_one_of_ours(
    status: int, body: bytes, kind: type[TransportError], code: str | None
) -> None:
    error = fault_of(status, body).error()
    assert type(error) is kind
    if code is not None:
        assert isinstance(error, RefusedError)
        assert error.code == code


def test_an_endless_text_of_an_error_is_cut() -> None:
    fault = fault_of(400, b'{"__type": "X", "message": "' + b"y" * 100_000 + b'"}')
    assert len(str(fault.error())) < 1000


@pytest.mark.parametrize(
    ("code", "sender_fault", "kind"),
    [
        ("ReceiptHandleIsInvalid", True, RefusedError),
        ("InvalidParameterValue", None, RefusedError),
        ("InternalError", False, TransportError),
        ("ServiceUnavailable", None, TransportError),
        ("SomethingNew", False, TransportError),
        ("AWS.SimpleQueueService.NonExistentQueue", True, NoQueueError),
    ],
)
def test_an_entry_that_failed_may_pass_later_or_never(code: str, sender_fault: bool | None, kind: type) -> None:
    assert type(entry_error(code, None, sender_fault)) is kind


# Tries -----------------------------------------------------------------------------------------------

BUSY = ServiceFault(503, "ServiceUnavailable", "")
FAILED = ServiceFault(500, "InternalFailure", "")
NO_ANSWER_FROM_BEHIND = ServiceFault(504, "HTTP 504", "")
DENIED = ServiceFault(403, "AccessDenied", "")


@pytest.mark.parametrize(
    ("repeat", "repeated"),
    [
        (Repeat.ANYWAY, [BUSY, FAILED, NO_ANSWER_FROM_BEHIND]),
        (Repeat.UNDONE, [BUSY, FAILED]),
        (Repeat.UNANSWERED, [BUSY, NO_ANSWER_FROM_BEHIND]),
    ],
)
def test_which_answers_are_worth_another_try(repeat: Repeat, repeated: list[ServiceFault]) -> None:
    faults = (BUSY, FAILED, NO_ANSWER_FROM_BEHIND, DENIED)
    assert [fault for fault in faults if Tries(repeat, 0.0).after_fault(fault, 0.0, 0.5) is not None] == repeated


@pytest.mark.parametrize(
    ("repeat", "broken", "again"),
    [
        (Repeat.ANYWAY, BrokenError("lost", sent=True), True),
        (Repeat.UNDONE, BrokenError("lost", sent=True), False),
        (Repeat.UNDONE, BrokenError("refused", sent=False), True),
        (Repeat.UNANSWERED, BrokenError("lost", sent=True), True),
    ],
)
def test_which_broken_connections_are_worth_another_try(repeat: Repeat, broken: BrokenError, again: bool) -> None:
    assert (Tries(repeat, 0.0).after_break(broken, 0.0, 0.5) is not None) is again


def test_a_stale_connection_is_replaced_once_at_no_cost() -> None:
    tries = Tries(Repeat.UNDONE, 0.0)
    stale = BrokenError("closed", sent=True, stale=True)
    assert tries.after_break(stale, 0.0, 0.9) == 0.0
    assert tries.after_break(stale, 0.0, 0.9) is None


def test_pauses_grow_and_end_with_the_tries_or_the_time() -> None:
    quick = Tries(Repeat.ANYWAY, 100.0)
    pauses = list(
        itertools.takewhile(lambda one: one is not None, (quick.after_fault(BUSY, 100.0, 0.999) for _ in range(99)))
    )
    assert len(pauses) == TRIES_MAX - 1
    assert pauses == sorted(pauses)
    slow = Tries(Repeat.ANYWAY, 100.0)
    assert slow.after_fault(BUSY, 100.0 + REPEAT_SECONDS_MAX, 0.5) is None


# Batches ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([], []),
        ([1] * 10, [10]),
        ([1] * 21, [10, 10, 1]),
        ([BYTES_MAX // 2] * 3, [2, 1]),
        ([BYTES_MAX, 1, BYTES_MAX], [1, 1, 1]),
        ([BYTES_MAX + 1, 1, 1], [1, 2]),
        ([1, BYTES_MAX * 2, 1], [1, 1, 1]),
    ],
)
def test_requests_hold_ten_messages_and_a_mebibyte(sizes: list[int], expected: list[int]) -> None:
    found = list(portions(sizes))
    assert [one.stop - one.start for one in found] == expected
    assert [size for one in found for size in sizes[one]] == sizes


def test_the_size_of_a_message_counts_bytes_and_attributes() -> None:
    values = {"é": AttributeValue("String", "12"), "bin": AttributeValue("Binary.x", None, b"123")}
    assert size_of(SendEntry("0", "ß")) == 2
    assert size_of(SendEntry("0", "", message_attributes=values)) == (2 + 6 + 2) + (3 + 8 + 3)


def test_each_entry_gets_its_own_answer_whatever_their_order() -> None:
    answer = BatchAnswer([Done("2", "id-2"), Done("0", "id-0")], [Failed("1", "InvalidMessageContents", "why", True)])
    first, second, third, fourth = answers(4, answer)
    assert (first, third) == ("id-0", "id-2")
    assert isinstance(second, RefusedError)
    assert isinstance(fourth, TransportError)
    assert "said nothing" in str(fourth)


def test_ids_that_nobody_gave_are_ignored() -> None:
    answer = BatchAnswer([Done("7"), Done("-1"), Done("x"), Done("0", "id")], None)
    assert answers(1, answer) == ["id"]
