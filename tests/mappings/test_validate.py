"""The rules for a mapping's settings, at both ends of each range."""

from typing import Any

import msgspec
import pytest

from encola.engine.queue import Address
from encola.mappings.model import MappingError, Pollers, Settings
from encola.mappings.validate import check, check_tags, queue_of_source

from .samples import ACCOUNT, function, queue


def refusal(settings: dict[str, Any], *, ordered: bool = False, visibility: int = 30, **of_function: Any) -> str:
    """The code of the error; empty if the settings are taken."""
    try:
        check(
            Settings(function="f", **settings), queue(ordered=ordered, visibility=visibility), function(**of_function)
        )
    except MappingError as error:
        return error.code
    return ""


INVALID, OUT_OF_RANGE = "InvalidParameterValueException", "ValidationException"


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({}, ""),
        ({"batch_size": 0}, OUT_OF_RANGE),
        ({"batch_size": 1}, ""),
        ({"batch_size": 10}, ""),
        ({"batch_size": 11}, INVALID),
        ({"batch_size": 11, "window": 1}, ""),
        ({"batch_size": 10_000, "window": 300}, ""),
        ({"batch_size": 10_001, "window": 300}, OUT_OF_RANGE),
        ({"window": -1}, OUT_OF_RANGE),
        ({"window": 301}, OUT_OF_RANGE),
        ({"maximum_concurrency": 1}, OUT_OF_RANGE),
        ({"maximum_concurrency": 2}, ""),
        ({"maximum_concurrency": 1000}, ""),
        ({"maximum_concurrency": 1001}, OUT_OF_RANGE),
        ({"pollers": Pollers(1, 200)}, OUT_OF_RANGE),
        ({"pollers": Pollers(2, 2)}, ""),
        ({"pollers": Pollers(200, 2000)}, ""),
        ({"pollers": Pollers(201, 2000)}, OUT_OF_RANGE),
        ({"pollers": Pollers(200, 2001)}, OUT_OF_RANGE),
        ({"pollers": Pollers(20, 10)}, INVALID),
        ({"pollers": Pollers(), "maximum_concurrency": 5}, INVALID),
        ({"filters": ('{"body": ["a"]}',) * 5}, ""),
        ({"filters": ('{"body": ["a"]}',) * 6}, INVALID),
        ({"filters": ("nonsense",)}, INVALID),
        ({"filters": (" " * 4097,)}, OUT_OF_RANGE),
    ],
)
def test_settings_of_a_standard_queue(settings: dict[str, Any], code: str) -> None:
    assert refusal(settings) == code


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({}, ""),
        ({"batch_size": 10}, ""),
        ({"batch_size": 11, "window": 1}, INVALID),
        ({"batch_size": 11}, INVALID),
        ({"window": 1}, INVALID),
    ],
)
def test_a_fifo_queue_has_no_window_and_batches_of_ten(settings: dict[str, Any], code: str) -> None:
    assert refusal(settings, ordered=True) == code


def test_the_queues_visibility_timeout_must_cover_the_functions_timeout() -> None:
    assert refusal({}, visibility=30, timeout=30) == ""
    assert refusal({}, visibility=30, timeout=31) == INVALID


def test_the_concurrency_of_a_mapping_must_not_exceed_its_functions() -> None:
    assert refusal({"maximum_concurrency": 5}, concurrency=5) == ""
    assert refusal({"maximum_concurrency": 6}, concurrency=5) == INVALID


def test_the_queue_of_an_arn() -> None:
    assert queue_of_source(f"arn:aws:sqs:eu-west-1:{ACCOUNT}:work.fifo") == (Address(ACCOUNT, "work.fifo"), "eu-west-1")
    assert queue_of_source(f"arn:aws-cn:sqs::{ACCOUNT}:work")[0] == Address(ACCOUNT, "work")


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("", OUT_OF_RANGE),
        ("work", OUT_OF_RANGE),
        ("arn:aws:sqs:eu-west-1:12:work", OUT_OF_RANGE),
        (f"arn:aws:sqs:eu-west-1:{ACCOUNT}:", OUT_OF_RANGE),
        (f"arn:aws:kinesis:eu-west-1:{ACCOUNT}:stream/s", INVALID),
    ],
)
def test_what_is_not_the_arn_of_a_queue_is_refused(source: str, code: str) -> None:
    with pytest.raises(MappingError) as caught:
        queue_of_source(source)
    assert caught.value.code == code


def test_tags_are_bounded() -> None:
    check_tags({str(n): "v" for n in range(50)})
    for tags in ({str(n): "v" for n in range(51)}, {"": "v"}, {"k" * 129: "v"}, {"k": "v" * 257}):
        with pytest.raises(MappingError):
            check_tags(tags)


def test_settings_survive_being_stored() -> None:
    settings = Settings(function="f", filters=("{}",), pollers=Pollers(3, 4), reports_failures=True, window=5)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(settings), type=Settings) == settings
