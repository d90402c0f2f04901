"""What follows from an attempt's error, and how it is written down."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import encola
from encola.consumers.errors import BadPayloadError
from encola.consumers.options import TaskOptions
from encola.consumers.verdicts import Again, BadResultError, Over, describe, explanation, judge
from encola.engine.records import TEXT_LENGTH_MAX, Failure

SETTINGS = TaskOptions(queue="q", name="t", retries=2, backoff=encola.Backoff(base=10, factor=3, cap=50))


class LaterError(encola.Retry):
    """Says what ``Retry`` would have refused."""

    def __init__(self, delay: Any) -> None:
        super().__init__("later")
        self.delay = delay


@pytest.mark.parametrize(
    ("error", "attempt", "verdict"),
    [
        (ValueError("x"), 1, Again(5)),
        (ValueError("x"), 2, Again(15)),
        (ValueError("x"), 3, Over("retries-exhausted")),
        (ValueError("x"), 99, Over("retries-exhausted")),
        (encola.Permanent("x"), 1, Over("permanent")),
        (encola.Permanent("x"), 9, Over("permanent")),
        (BadPayloadError("x"), 1, Over("bad-payload")),
        (BadResultError("x"), 1, Over("bad-result")),
        (encola.Retry("x"), 1, Again(5)),
        (encola.Retry("x", delay=7), 2, Again(7)),
        (encola.Retry("x", delay=0), 1, Again(0)),
        (LaterError(-3), 1, Again(0)),
        (LaterError(1e9), 1, Again(43_200)),
        (LaterError(math.inf), 1, Again(43_200)),
        (LaterError(math.nan), 1, Again(5)),
        (LaterError("soon"), 1, Again(5)),
        (encola.Retry("x", delay=7), 3, Over("retries-exhausted")),
        (encola.TaskTimeoutError("x"), 1, Again(5)),
        (SystemExit(3), 1, Again(5)),
        (SystemExit(3), 3, Over("retries-exhausted")),
    ],
)
def test_what_follows_from_an_error(error: BaseException, attempt: int, verdict: Any) -> None:
    assert judge(error, attempt, SETTINGS, 0.5) == verdict


def test_no_pause_is_longer_than_a_message_can_be_hidden() -> None:
    """The service, or the store of records, refused it, and the attempt was lost with its error."""
    settings = TaskOptions(queue="q", name="t", backoff=encola.Backoff(base=1e300, cap=1e300))
    assert judge(ValueError(), 1, settings, 0.5) == Again(43_200)


@pytest.mark.parametrize(
    ("delay", "kind", "text"),
    [
        (-1, ValueError, "between 0 and 43200 seconds, not -1"),
        (43_201, ValueError, "between 0 and 43200 seconds, not 43201"),
        (math.nan, ValueError, "between 0 and 43200 seconds, not nan"),
        (math.inf, ValueError, "between 0 and 43200 seconds, not inf"),
        ("5", TypeError, "a number of seconds, not '5'"),
        (True, TypeError, "a number of seconds, not True"),
    ],
)
def test_a_task_that_asks_for_a_pause_that_cannot_be_is_told_so(delay: Any, kind: type[Exception], text: str) -> None:
    """It is an error of the task, like others: the attempt counts, and the error is kept."""
    with pytest.raises(kind, match=text) as refused:
        raise encola.Retry("busy", delay=delay)
    assert judge(refused.value, 1, SETTINGS, 0.5) == Again(5)
    assert (encola.Retry(delay=0).delay, encola.Retry(delay=43_200).delay) == (0, 43_200)


def test_a_task_without_retries_has_one_attempt() -> None:
    assert judge(ValueError(), 1, TaskOptions(queue="q", name="t", retries=0), 0.5) == Over("retries-exhausted")


@given(st.text(), st.integers(1, 2000), st.floats(0, 1, exclude_max=True))
def test_an_attempt_beyond_the_retries_has_no_other(text: str, attempt: int, chance: float) -> None:
    verdict = judge(RuntimeError(text), attempt, SETTINGS, chance)
    assert isinstance(verdict, Over) == (attempt > SETTINGS.retries)


@given(st.text(alphabet=st.characters(codec=None), max_size=100))
def test_an_error_is_kept_whatever_its_text(text: str) -> None:
    failure = describe(ValueError(text), 1, 5, "w")
    assert failure.type == "ValueError"
    failure.message.encode()
    failure.traceback.encode()
    assert "\0" not in failure.message


def test_a_long_error_is_cut_and_keeps_its_kind() -> None:
    failure = describe(ValueError("x" * 100_000), 3, 5, "w")
    assert (len(failure.message), failure.attempt, failure.at, failure.worker) == (TEXT_LENGTH_MAX, 3, 5, "w")
    assert len(failure.traceback) <= TEXT_LENGTH_MAX
    line = explanation(failure)
    assert line.startswith("ValueError: xxx")
    assert len(line) == 1000


def test_an_exit_is_told_as_what_it_is_and_a_timeout_needs_no_trace() -> None:
    assert describe(SystemExit(3), 1, 0, "w").message == "the task called sys.exit(3)"
    assert describe(encola.TaskTimeoutError("too long"), 1, 0, "w").traceback == ""


def test_an_explanation_without_a_kind_is_its_text() -> None:
    assert explanation(Failure(1, 0, "", "why")) == "why"
