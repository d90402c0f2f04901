"""Endpoints and what follows from them."""

import pytest

from encola.consumers.errors import ConfigurationError
from encola.consumers.sqs.address import address_of, aws_url, is_loopback


@pytest.mark.parametrize(
    ("url", "host", "path"),
    [
        ("http://127.0.0.1:9324", "127.0.0.1:9324", "/"),
        ("http://localhost:80/", "localhost", "/"),
        ("https://sqs.example:443", "sqs.example", "/"),
        ("https://sqs.example:80", "sqs.example:80", "/"),
        ("http://[::1]:9324", "[::1]:9324", "/"),
        ("http://gateway/queues/v1/", "gateway", "/queues/v1/"),
        ("http://gateway/a/../b//c", "gateway", "/b/c"),
    ],
)
def test_an_endpoint_is_taken_apart(url: str, host: str, path: str) -> None:
    address = address_of(url)
    assert (address.host, address.path) == (host, path)
    assert address.secure is url.startswith("https")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "9324",
        "127.0.0.1:9324",
        "ftp://host",
        "http://",
        "http://host:0",
        "http://host:99999",
        "http://host:x",
        "http://me:secret@host",
        "http://host/?query",
        "http://host/#fragment",
        "http://[::1",
    ],
)
def test_what_is_no_endpoint_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="is no http"):
        address_of(url)


@pytest.mark.parametrize(
    ("region", "url"),
    [
        ("eu-central-1", "https://sqs.eu-central-1.amazonaws.com"),
        ("us-gov-west-1", "https://sqs.us-gov-west-1.amazonaws.com"),
        ("cn-north-1", "https://sqs.cn-north-1.amazonaws.com.cn"),
        ("us-iso-east-1", "https://sqs.us-iso-east-1.c2s.ic.gov"),
        ("us-isob-east-1", "https://sqs.us-isob-east-1.sc2s.sgov.gov"),
    ],
)
def test_the_endpoint_of_aws_follows_from_the_region(region: str, url: str) -> None:
    assert aws_url(region) == url


@pytest.mark.parametrize("region", ["", "us-east-1.evil.example/", "US-EAST-1", "us_east_1", "somewhere"])
def test_what_is_no_region_does_not_become_a_host(region: str) -> None:
    with pytest.raises(ConfigurationError, match="is no region"):
        aws_url(region)


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("localhost", True),
        ("a.localhost.", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("10.0.0.1", False),
        ("localhost.example", False),
        ("example", False),
    ],
)
def test_what_stays_on_this_machine_is_told_from_what_does_not(host: str, local: bool) -> None:
    assert is_loopback(host) is local
