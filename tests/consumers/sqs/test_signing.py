"""Our signatures are botocore's, byte for byte."""

import calendar
import time

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from encola.consumers.sqs.address import address_of
from encola.consumers.sqs.signing import CONTENT_TYPE, Signer

MIDNIGHT = calendar.timegm((2026, 3, 1, 0, 0, 0))
TARGET = "AmazonSQS.SendMessageBatch"


def by_botocore(
    url: str, region: str, credentials: Credentials, target: str, body: bytes, second: int
) -> dict[str, str]:
    """The headers that botocore makes; it is only told the time."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second))
    auth = SigV4Auth(credentials, "sqs", region)
    request = AWSRequest("POST", url, {"Content-Type": CONTENT_TYPE, "X-Amz-Target": target}, body)
    request.headers["User-Agent"] = "is not signed"
    request.headers["X-Amz-Date"] = request.context["timestamp"] = stamp
    if credentials.token:
        request.headers["X-Amz-Security-Token"] = credentials.token
    signature = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
    auth._inject_signature_to_request(request, signature)
    del request.headers["User-Agent"]
    return dict(request.headers.items())


@pytest.mark.parametrize("token", [None, "FwoGZXIvYXdzE//a+token=="])
@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9324",
        "https://sqs.eu-central-1.amazonaws.com",
        "http://[::1]:80/",
        "https://proxy.example:8443//a path/./x/../sqs/",
    ],
)
@pytest.mark.parametrize("body", [b"{}", '{"MessageBody": "größer"}'.encode() * 500])
def test_a_request_is_signed_as_botocore_signs_it(url: str, token: str | None, body: bytes) -> None:
    credentials = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY" * 2, token)
    address = address_of(url)
    signer = Signer(
        address.host, address.path, "eu-central-1", credentials.access_key, credentials.secret_key, token
    )  # fmt: skip

    headers = signer.headers(TARGET, body, MIDNIGHT + 0.9)

    assert headers == by_botocore(address.url, "eu-central-1", credentials, TARGET, body, MIDNIGHT)


def test_what_is_kept_between_requests_follows_the_clock_the_operation_and_the_body() -> None:
    """Given one signer, when seconds and days go by (and once back), then each signature is botocore's."""
    credentials = Credentials("AKID", "secret")
    signer = Signer("example.com", "/", "us-east-1", "AKID", "secret")
    for second in (-2, -1, -1, 0, 1, 1, 86_399, 86_400, -1):
        for target in (TARGET, "AmazonSQS.ReceiveMessage", TARGET):
            body = f"{second} {target}".encode()
            expected = by_botocore("http://example.com/", "us-east-1", credentials, target, body, MIDNIGHT + second)
            assert signer.headers(target, body, MIDNIGHT + second) == expected
