"""docs/cloudwatch.md: its tables of metrics, functions, periods and limits are those of the code."""

import importlib
import re

import pytest

from encola.engine.history import HOURS, MINUTES, SECONDS
from encola.metrics.definitions import AWS, OURS, QUEUE, SERVER, Definition
from encola.protocols.cloudwatch.endpoint import OPERATIONS
from encola.protocols.cloudwatch.expressions.functions import FUNCTIONS, NOT_SERVED
from encola.protocols.cloudwatch.windows import MARGIN, PERIODS_BELOW_MINUTE

from .files import ROOT
from .markdown import plain, section, table

PAGE = ROOT / "docs" / "cloudwatch.md"
MINUTE = 60_000


def rows(title: str) -> list[list[str]]:
    return table(section(PAGE, title))


def told_of(definitions: list[Definition]) -> list[list[str]]:
    return [[one.name, one.unit, one.description] for one in definitions]


def test_every_metric_has_its_row() -> None:
    of_queue = section(PAGE, "Metrics of a queue")
    amazons, ours = of_queue.split("Those that Amazon SQS lacks")
    for text, namespace in ((amazons, AWS), (ours, OURS)):
        told = [[plain(row[0]), *row[1:]] for row in table(text)]
        assert told == told_of([one for one in QUEUE if one.namespace == namespace])
    assert [[plain(row[0]), *row[1:]] for row in rows("Metrics of the server")] == told_of(list(SERVER))


def test_every_function_is_told_and_no_other() -> None:
    told = {row[0]: set(re.findall(r"`([A-Z_0-9]{2,})`", row[1])) for row in rows("Metric math")}
    refused = told.pop("not served")
    told.pop("operators")
    assert refused == {*NOT_SERVED, "SELECT"}
    options = {"REPEAT", "LINEAR"}
    assert set.union(*told.values()) - options == {*FUNCTIONS, "METRICS"}


def test_periods_are_answered_for_the_time_that_is_told() -> None:
    told = {row[0]: row[1] for row in rows("What a value is")}
    assert ", ".join(map(str, PERIODS_BELOW_MINUTE)) in told
    assert list(told.values()) == ["14 minutes", "23 hours and 59 minutes", "90 days"]
    assert (SECONDS.kept - MARGIN) // MINUTE == 14
    assert (MINUTES.kept - MARGIN) // MINUTE == 23 * 60 + 59
    assert HOURS.kept // (24 * 60 * MINUTE) == 90


def test_the_operations_are_named() -> None:
    assert all(name in PAGE.read_text("utf-8").split("```")[0] for name in OPERATIONS)


@pytest.mark.parametrize("row", rows("Limits"), ids=lambda row: plain(row[2]))
def test_a_limit_is_the_one_in_the_code(row: list[str]) -> None:
    module, name = plain(row[2]).rsplit(".", 1)
    assert int(row[1].replace(",", "")) == getattr(importlib.import_module(f"encola.{module}"), name)
