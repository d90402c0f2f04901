"""Presigned URLs: botocore signs, we verify, for as long as the URL says."""

from typing import Any

import pytest

from encola.protocols.aws.errors import AuthError
from encola.protocols.aws.identity import Authenticator
from encola.protocols.http.message import Request

from .signer import ACCOUNT, NOW, authenticator, signed

PARAMS = {"Action": "SendMessage", "MessageBody": "a b+c/é&=%", "Version": "2012-11-05"}


def presigned(**more: Any) -> Request:
    return signed(**{"method": "GET", "url": f"/{ACCOUNT}/work", "params": PARAMS, "expires": 300, **more})


def refused(request: Request, door: Authenticator | None = None) -> AuthError:
    with pytest.raises(AuthError) as caught:
        (door or authenticator()).authenticate(request)
    return caught.value


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"token": "a/token+with=odd characters"},
        {"method": "POST"},
        {"headers": [("X-Signed", "a  b")]},
        {"expires": 604_800},
        {"region": "eu-central-1"},
        {"params": None},
        {"params": {"": "", "a": ""}},
    ],
)
def test_a_presigned_url_is_let_in(more: dict[str, Any]) -> None:
    found = authenticator().authenticate(presigned(**more))
    assert found.account == ACCOUNT
    assert found.region == more.get("region", "us-east-1")


@pytest.mark.parametrize("after", [-15 * 60, 0, 299, 300])
def test_it_holds_as_long_as_it_says(after: int) -> None:
    authenticator(now=NOW + after).authenticate(presigned())


EXPIRED = "Signature expired: 20260102T030405Z is now earlier than 20260102T030406Z"
NOT_YET = "Signature not yet current: 20260102T030405Z is still later than 20260102T030404Z"


@pytest.mark.parametrize(
    ("after", "expires", "message"),
    [
        (301, 300, f"{EXPIRED} (20260102T030906Z - 5 min.)"),
        (51, 50, f"{EXPIRED} (20260102T030456Z - 50 s)"),
        (1, 0, f"{EXPIRED} (20260102T030406Z - 0 min.)"),
        (-901, 300, f"{NOT_YET} (20260102T024904Z + 15 min.)"),
    ],
)
def test_and_no_longer_and_not_before(after: int, expires: int, message: str) -> None:
    error = refused(presigned(expires=expires), authenticator(now=NOW + after))
    assert (error.status, error.code, error.message) == (403, "SignatureDoesNotMatch", message)


def test_a_wrong_secret_and_an_unknown_key() -> None:
    assert refused(presigned(secret="wrong")).code == "SignatureDoesNotMatch"
    assert refused(presigned(key="AKIDUNKNOWN")).code == "InvalidClientTokenId"
    assert refused(presigned(service="sns")).code == "SignatureDoesNotMatch"


CHANGES: dict[str, Any] = {
    "method": lambda r: setattr(r, "method", "POST"),
    "body": lambda r: setattr(r, "body", b"Action=DeleteQueue"),
    "path": lambda r: setattr(r, "target", r.target.replace("/work", "/worm")),
    "action": lambda r: setattr(r, "target", r.target.replace("SendMessage", "PurgeQueue")),
    "another action before": lambda r: setattr(r, "target", r.target.replace("?", "?Action=PurgeQueue&")),
    "another action behind": lambda r: setattr(r, "target", f"{r.target}&Action=PurgeQueue"),
    "longer life": lambda r: setattr(r, "target", r.target.replace("X-Amz-Expires=300", "X-Amz-Expires=301")),
    "date": lambda r: setattr(r, "target", r.target.replace("20260102T030405Z", "20260102T030406Z")),
    "host": lambda r: r.headers.update({"host": "other"}),
    "signed headers": lambda r: r.headers.update({"x-signed": "b"}),
    "the signature": lambda r: setattr(r, "target", r.target[:-1] + ("0" if r.target[-1] != "0" else "1")),
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_is_noticed(change: str) -> None:
    request = presigned(headers=[("X-Signed", "a")])
    authenticator().authenticate(request)
    CHANGES[change](request)
    assert refused(request).code == "SignatureDoesNotMatch"


@pytest.mark.parametrize("more", ["X-Amz-Expires=604800", "X-Amz-Signature=00", "X-Amz-SignedHeaders=host"])
def test_what_is_said_of_the_signature_may_be_said_once_only(more: str) -> None:
    for change in (f"?{more}&", f"&{more}"):
        request = presigned()
        request.target = request.target.replace("?", change) if change[0] == "?" else request.target + change
        assert refused(request).code == "IncompleteSignature"


def test_a_target_must_be_signed() -> None:
    request = presigned()
    request.headers["x-amz-target"] = "AmazonSQS.PurgeQueue"
    assert refused(request).message.startswith("'X-Amz-Target' must be a 'SignedHeader'")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("X-Amz-Expires=300", "X-Amz-Expires=604801"),
        ("X-Amz-Expires=300", "X-Amz-Expires=-1"),
        ("X-Amz-Expires=300", "X-Amz-Expires=1e3"),
        ("X-Amz-Expires=300", "X-Amz-Expires=" + "9" * 5000),
        ("X-Amz-Expires=300", "X-Amz-Expires=%D9%A3"),
        ("X-Amz-Expires=300", "X-Amz-Expires="),
        ("X-Amz-Date=20260102T030405Z", "X-Amz-Date=yesterday"),
        ("X-Amz-Date=20260102T030405Z", "x=y"),
        ("X-Amz-Algorithm=AWS4-HMAC-SHA256", "X-Amz-Algorithm=HMAC"),
        ("X-Amz-Algorithm=AWS4-HMAC-SHA256", "x=y"),
        ("X-Amz-SignedHeaders=host", "x=y"),
        ("X-Amz-Credential=AKIDEXAMPLE", "X-Amz-Credential="),
        ("us-east-1%2Fsqs", "us-east-1"),
        ("X-Amz-Signature=", "X-Amz-Sig="),
    ],
)
def test_malformed_parameters(old: str, new: str) -> None:
    request = presigned()
    assert old in request.target
    request.target = request.target.replace(old, new)
    error = refused(request)
    assert (error.status, error.code) == (400, "IncompleteSignature")


def test_the_scope_must_be_of_the_day() -> None:
    request = presigned()
    request.target = request.target.replace("%2F20260102%2F", "%2F20260101%2F")
    error = refused(request)
    assert error.code == "SignatureDoesNotMatch"
    assert error.message == "Date in Credential scope does not match X-Amz-Date: '20260101' != '20260102'."


def test_the_host_must_be_signed() -> None:
    request = presigned()
    request.target = request.target.replace("SignedHeaders=host", "SignedHeaders=x-date")
    assert refused(request).message.startswith("'Host' or ':authority' must be a 'SignedHeader'")


def test_a_signed_header_that_did_not_come() -> None:
    request = presigned()
    request.target = request.target.replace("SignedHeaders=host", "SignedHeaders=host%3Bx-gone")
    assert refused(request).code == "SignatureDoesNotMatch"


def test_too_many_parameters() -> None:
    request = presigned()
    request.target += "&a=1" * 1000
    assert (refused(request).status, refused(request).code) == (400, "InvalidParameterValue")


def test_without_credentials_the_key_names_the_account() -> None:
    found = Authenticator([]).authenticate(presigned(key="444455556666", region="eu-west-1"))
    assert (found.account, found.region) == ("444455556666", "eu-west-1")
