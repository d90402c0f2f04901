"""How a function is named and found, and what may not be called."""

from typing import Any

import pytest

from encola.mappings.functions import (
    EMULATOR_PATH,
    DeclaredFunction,
    Functions,
    Reference,
    arn_of_function,
    concurrency_of,
    is_below,
    reference_of,
)
from encola.mappings.model import MappingError

from .samples import ACCOUNT, REGION, function


@pytest.mark.parametrize(
    "text",
    [
        "f",
        "function:f",
        "f:$LATEST",
        f"{ACCOUNT}:function:f",
        f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:f",
        f"arn:aws-cn:lambda:{REGION}:{ACCOUNT}:function:f:$LATEST",
    ],
)
def test_a_function_is_named_by_name_or_arn(text: str) -> None:
    reference, found = Functions([function()]).resolve(text, ACCOUNT, REGION)
    assert reference == Reference(ACCOUNT, "f")
    assert found.name == "f"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("other", "ResourceNotFoundException"),
        ("f:7", "ResourceNotFoundException"),
        (f"arn:aws:lambda:{REGION}:444455556666:function:f", "ResourceNotFoundException"),
        ("", "ValidationException"),
        ("no function", "ValidationException"),
        ("f" * 65, "ValidationException"),
        ("python:os:system", "ValidationException"),
        ("aws:f", "ResourceNotFoundException"),  # a function called aws
        ("arn:aws:sqs:eu-west-1:111122223333:f", "ValidationException"),
        ("http://127.0.0.1:1/", "InvalidParameterValueException"),
        ("ftp://host/", "InvalidParameterValueException"),
    ],
)
def test_what_is_not_declared_cannot_be_named(text: str, code: str) -> None:
    with pytest.raises(MappingError) as caught:
        Functions([function()]).resolve(text, ACCOUNT, REGION)
    assert caught.value.code == code


def test_a_function_belongs_to_an_account() -> None:
    functions = Functions([function(), function(account="444455556666", target="http://other/")])
    assert functions.resolve("f", "444455556666", REGION)[1].target == "http://other/"
    with pytest.raises(MappingError):
        functions.resolve("f", "777788889999", REGION)


def test_a_url_below_an_allowed_prefix_may_be_named() -> None:
    functions = Functions([], ["http://127.0.0.1:9000/functions"])
    reference, found = functions.resolve("http://127.0.0.1:9000/functions/one", ACCOUNT, REGION)
    assert found.target == "http://127.0.0.1:9000/functions/one"
    assert arn_of_function(REGION, reference) == found.target


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9000/other",
        "http://127.0.0.1:9000/functionsandmore",
        "http://127.0.0.1:9000/functions/../other",
        "http://127.0.0.1:9000/functions/%2e%2e/other",
        "http://127.0.0.1:9000/functions/..%5cother",
        "http://127.0.0.1:90001/functions/",
        "http://127.0.0.1/functions/",
        "https://127.0.0.1:9000/functions/",
        "http://127.0.0.1:9000@evil.example/functions/",
        "http://user@127.0.0.1:9000/functions/",
        "http://127.0.0.1:9000.evil.example/functions/",
        "http://169.254.169.254/functions/",
        "http://127.0.0.1:9000/functions/ x",
        "http://[::1/functions/",
    ],
)
def test_a_url_elsewhere_may_not(url: str) -> None:
    assert not is_below(url, "http://127.0.0.1:9000/functions")
    with pytest.raises(MappingError):
        Functions([], ["http://127.0.0.1:9000/functions"]).resolve(url, ACCOUNT, REGION)


@pytest.mark.parametrize("prefix", ["http://h:1", "http://h:1/"])
def test_a_prefix_without_a_path_is_the_whole_host(prefix: str) -> None:
    assert is_below("http://h:1/anything?x=1", prefix)


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "a b"},
        {"account": "12"},
        {"timeout": 0},
        {"timeout": 901},
        {"concurrency": 0},
        {"target": "reports:handler"},
        {"target": "python:reports"},
        {"target": "python:reports:handler()"},
        {"target": "aws:"},
        {"target": "http://"},
        {"target": "http://host name/"},
        {"target": "http://user:password@host/"},
        {"target": "aws:f", "headers": {"A": "b"}},
        {"headers": {"A": "b\r\nC: d"}},
        {"headers": {"A b": "c"}},
        {"target": "http://h/", "environment": {"A": "b"}},
        {"target": "http://h/", "region": "eu-west-1"},
        {"target": "aws:f", "endpoint": "nonsense"},
    ],
)
def test_a_wrong_declaration_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        function(**wrong)


def test_a_target_that_takes_one_event_at_a_time_gets_no_more() -> None:
    assert concurrency_of(function(target="python:m:f")) == 1
    assert concurrency_of(function(target=f"http://127.0.0.1:9000{EMULATOR_PATH}")) == 1
    assert concurrency_of(function(target="http://127.0.0.1:9000/hook")) is None
    assert concurrency_of(function(target="aws:f")) is None
    assert concurrency_of(function(target="python:m:f", concurrency=4)) == 4


def test_all_mappings_of_a_function_share_its_gate() -> None:
    functions = Functions([function(concurrency=1)])
    reference, found = functions.resolve("f", ACCOUNT, REGION)
    assert functions.gate(reference, found) is functions.gate(Reference(ACCOUNT, "f"), found)


def test_no_secret_is_shown() -> None:
    declared = DeclaredFunction(name="f", target="http://h/", headers={"Authorization": "secret"})
    assert "secret" not in repr(declared)


def test_a_url_is_read_as_it_is() -> None:
    assert reference_of("https://h/x", ACCOUNT) == Reference(ACCOUNT, "https://h/x")
