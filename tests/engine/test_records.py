"""Records as documents, and searches."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from encola.engine.records import Job, JobSearch, Join, Pace, Record, Slots, end_of, pack, unpack

JOB = Job("report/1", "report", "reports", "completed", "me", 2, 0, 99, "hash", 1, 50, result=msgspec.Raw(b'{"a":[1]}'))

# Few characters, so that prefixes are hit; the last before the surrogates, the first behind them, and the very last.
texts = st.text(st.sampled_from(["a", "b", "\ud7ff", "\ue000", "\U0010fffe", "\U0010ffff"]), max_size=4)


@pytest.mark.parametrize("record", [JOB, Slots("s", {"a": 1}, 2), Pace("p", 5, 2), Join("j", ["a"], 2, 9)])
def test_a_record_is_read_as_it_was_written(record: Record) -> None:
    assert unpack(pack(record)) == record


@given(texts, texts)
def test_what_begins_with_a_prefix_lies_between_it_and_its_end(prefix: str, text: str) -> None:
    end = end_of(prefix)
    between = prefix <= text and (end is None or text < end)
    assert between == text.startswith(prefix)


def test_what_everything_begins_with_or_only_the_last_has_no_end() -> None:
    assert end_of("") is None
    assert end_of("\U0010ffff\U0010ffff") is None


@pytest.mark.parametrize(
    ("search", "fits"),
    [
        (JobSearch(), True),
        (JobSearch(prefix="report/"), True),
        (JobSearch(prefix="report/11"), False),
        (JobSearch(task="report", queue="reports", states=("dead", "completed")), True),
        (JobSearch(task="mail"), False),
        (JobSearch(queue="mails"), False),
        (JobSearch(states=("dead",)), False),
        (JobSearch(before=(50, "report/1")), False),
        (JobSearch(before=(50, "report/10")), True),
        (JobSearch(before=(51, "")), True),
    ],
)
def test_a_job_fits_a_search_if_it_fits_all_of_it(search: JobSearch, fits: bool) -> None:
    assert search.fits(JOB) is fits
