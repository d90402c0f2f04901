"""docs/event-source-mappings.md says of limits, operators and results what the code says."""

import re

from encola.mappings import filters, functions, manager, poller, scaling, status, validate
from encola.mappings.model import Pollers, Settings

from ..house.files import ROOT
from ..house.markdown import plain, section, table

PAGE = ROOT / "docs" / "event-source-mappings.md"


def number(cell: str) -> int | None:
    return int(cell.replace(",", "")) if re.fullmatch(r"[\d,]+", cell) else None


def test_the_limits_are_those_of_the_code() -> None:
    told = {plain(row[0]): tuple(number(cell) for cell in row[1:]) for row in table(section(PAGE, "Limits"))}
    default, pollers = Settings(function="f"), Pollers()
    assert told == {
        "BatchSize": (1, validate.BATCH_SIZE_MAX, default.batch_size),
        "BatchSize without a window, or of a FIFO queue": (1, validate.FIFO_BATCH_SIZE_MAX, default.batch_size),
        "MaximumBatchingWindowInSeconds (no FIFO queue)": (0, validate.WINDOW_SECONDS_MAX, default.window),
        "MaximumConcurrency": (validate.CONCURRENCY_MIN, validate.CONCURRENCY_MAX, None),
        "MinimumPollers": (validate.POLLERS_MIN, validate.MINIMUM_POLLERS_MAX, pollers.minimum),
        "MaximumPollers": (validate.POLLERS_MIN, validate.MAXIMUM_POLLERS_MAX, pollers.maximum),
        "timeout of a function, in seconds": (1, functions.TIMEOUT_SECONDS_MAX, 30),
        "filters": (0, filters.PATTERNS_MAX, 0),
        "characters of a filter": (2, filters.PATTERN_LENGTH_MAX, None),
        "mappings of an account": (0, manager.MAPPINGS_MAX, 0),
    }
    assert validate.UNWINDOWED_BATCH_SIZE_MAX == validate.FIFO_BATCH_SIZE_MAX
    declared = functions.DeclaredFunction(name="f", target="aws:f")
    assert declared.timeout == 30


def test_every_operator_of_filters_has_its_row() -> None:
    told = {plain(row[0]) for row in table(section(PAGE, "Filters"))}
    assert set(filters.OPERATORS) <= told
    assert len(told) == len(filters.OPERATORS) + 1


def test_the_numbers_of_concurrency_are_those_of_the_code() -> None:
    text = section(PAGE, "Concurrency")
    assert (scaling.START, scaling.PER_MINUTE, scaling.CONCURRENCY_MAX) == (5, 300, 1250)
    assert (scaling.PER_POLLER, scaling.PROVISIONED_PER_MINUTE, scaling.FAILURE_FACTOR) == (10, 1000, 0.9)
    assert all(told in text for told in ("five", "300 a minute", "1,250", "ten for each", "1,000 a minute", "a tenth"))


def test_every_result_that_a_mapping_may_show_is_explained() -> None:
    told = [plain(row[0]) for row in table(section(PAGE, "When something goes wrong"))]
    shown = [status.NOTHING_YET, status.FAILED, f"PROBLEM: {manager.NO_FUNCTION}", f"PROBLEM: {poller.NO_QUEUE}"]
    assert [one for one in shown if one not in told] == []
    assert len(told) == len(shown) + 2  # throttled, not reached
