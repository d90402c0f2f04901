"""docs/sqs-compatibility.md says of each operation, attribute, limit and error what the code says."""

import importlib
import re

import pytest

from encola.protocols.jobs.endpoint import ACTIONS as JOB_ACTIONS
from encola.protocols.jobs.endpoint import PREFIX
from encola.protocols.jobs.wire import STATUSES
from encola.protocols.sqs.errors import SHAPES, SqsError
from encola.protocols.sqs.mapping import CHECKS, DEFAULTS, FIFO_DEFAULTS, FIFO_ONLY, READ_ONLY
from encola.protocols.sqs.operations import EXTENSIONS, OPERATIONS
from encola.protocols.sqs.receiving import SYSTEM_NAMES
from encola.protocols.workers.endpoint import ACTIONS as WORKER_ACTIONS
from encola.protocols.workers.endpoint import PREFIX as WORKERS_PREFIX
from encola.protocols.workers.endpoint import STATUSES as WORKER_STATUSES
from encola.server.config import ACTIONS, DevelopmentConfig

from .files import ROOT
from .markdown import plain, section, table

PAGE = ROOT / "docs" / "sqs-compatibility.md"
OTHER_DEFAULTS = {"KmsDataKeyReusePeriodSeconds": "300"}

RANGE = re.compile(r"([\d,]+) to ([\d,]+)\Z")
CHOICES = re.compile(r"`\w+`(, `\w+`)*\Z")


def rows(title: str) -> list[list[str]]:
    return table(section(PAGE, title))


def number(text: str) -> int:
    return int(text.replace(",", ""))


def accepts(name: str, value: str) -> bool:
    try:
        CHECKS[name](name, value)
    except SqsError:
        return False
    return True


def test_every_operation_has_its_row() -> None:
    assert [plain(row[0]) for row in rows("Operations")] == sorted(OPERATIONS)
    assert f"All {len(OPERATIONS)} operations" in section(PAGE, "Operations")


def test_every_operation_of_ours_has_its_row_with_a_permission_that_there_is() -> None:
    told = {plain(row[0]): plain(row[1]) for row in rows("Operations of encola's own")}
    jobs = {f"{PREFIX}{action.removesuffix('Jobs')}": action for action in JOB_ACTIONS}
    workers = {
        f"{WORKERS_PREFIX}{action.removesuffix('s').removesuffix('Worker')}": action for action in WORKER_ACTIONS
    }
    assert sorted(told) == sorted([*EXTENSIONS, *jobs, *workers])
    assert {target: told[target] for target in (*jobs, *workers)} == jobs | workers
    assert {permission for permission in told.values() if permission not in ACTIONS} == {"none"}


def test_every_error_of_the_records_and_of_the_workers_has_its_row_with_its_status() -> None:
    assert {plain(row[0]): int(row[1]) for row in rows("EncolaJobs")} == STATUSES
    assert {plain(row[0]): int(row[1]) for row in rows("EncolaWorkers")} == WORKER_STATUSES


def test_every_attribute_that_can_be_set_has_its_row() -> None:
    assert sorted(plain(row[0]) for row in rows("Queue attributes")) == sorted(CHECKS)


@pytest.mark.parametrize(("name", "values"), [(plain(row[0]), row[1]) for row in rows("Queue attributes")])
def test_the_values_of_an_attribute_are_those_that_are_accepted(name: str, values: str) -> None:
    found = RANGE.match(values)
    if found:
        low, high = number(found[1]), number(found[2])
        assert [accepts(name, str(n)) for n in (low - 1, low, high, high + 1)] == [False, True, True, False]
    elif CHOICES.match(values):
        assert all(accepts(name, value) for value in plain(values).split(", "))
        assert not accepts(name, "nonsense")
    else:
        assert values in ("JSON", "any text")
        assert accepts(name, "nonsense") is (values == "any text")


def test_the_defaults_of_attributes_are_those_of_the_code() -> None:
    told = {plain(row[0]): plain(row[2]) for row in rows("Queue attributes")}
    known = {**DEFAULTS, **{name: FIFO_DEFAULTS[name] for name in FIFO_ONLY}, **OTHER_DEFAULTS}
    assert {name: value.replace(",", "") for name, value in told.items() if value != "none"} == known


def test_every_attribute_that_is_only_read_has_its_row() -> None:
    assert [plain(row[0]) for row in rows("Attributes that are only read")] == list(READ_ONLY)


def test_every_system_attribute_of_a_message_has_its_row() -> None:
    assert [plain(row[0]) for row in rows("Message system attributes")] == list(SYSTEM_NAMES[1:])


@pytest.mark.parametrize("row", rows("Limits"), ids=lambda row: plain(row[2]))
def test_a_limit_is_the_one_in_the_code(row: list[str]) -> None:
    module, name = plain(row[2]).rsplit(".", 1)
    assert number(row[1].split()[0]) == getattr(importlib.import_module(f"encola.{module}"), name)


def test_every_error_has_its_row_with_its_code_and_status() -> None:
    told = {plain(row[0]): (plain(row[1]), int(row[2])) for row in rows("Errors")}
    assert told == {name: (shape.code, shape.status) for name, shape in SHAPES.items()}


def test_every_switch_for_development_has_its_row() -> None:
    told = [plain(row[0]) for row in rows("Switches for development")]
    assert told == [f"development.{name}" for name in DevelopmentConfig.__struct_fields__]
