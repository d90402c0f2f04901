"""Signatures in the Authorization header: botocore signs, we verify; and whatever is changed afterwards is noticed."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from encola.protocols.aws import identity
from encola.protocols.aws.errors import AuthError
from encola.protocols.aws.identity import Authenticator, Credential
from encola.protocols.aws.sigv4 import (
    SigningKey,
    canonical_path,
    canonical_query,
    claim_of_header,
    stamp_of_date_header,
)
from encola.protocols.http.message import Request

from .signer import ACCOUNT, KEY, NOW, SECRET, authenticator, signed

JSON = (("Content-Type", "application/x-amz-json-1.0"), ("X-Amz-Target", "AmazonSQS.SendMessage"))
FORM = (("Content-Type", "application/x-www-form-urlencoded; charset=utf-8"),)


def refused(request: Request, door: Authenticator | None = None) -> AuthError:
    with pytest.raises(AuthError) as caught:
        (door or authenticator()).authenticate(request)
    return caught.value


MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
    "and signing method. Consult the service documentation for details."
)

# What is let in -------------------------------------------------------------------------------------

GOOD: dict[str, dict[str, Any]] = {
    "JSON": {"headers": JSON, "body": b'{"QueueUrl": "work", "MessageBody": "h\xc3\xa9llo"}'},
    "an empty body": {"headers": JSON},
    "a form": {"headers": FORM, "body": b"Action=SendMessage&MessageBody=a%20b"},
    "a large body": {"headers": JSON, "body": b"x" * 3_000_000},
    "GET with a query": {"method": "GET", "params": {"Action": "ListQueues", "Version": "2012-11-05"}},
    "a query with odd characters": {
        "method": "GET",
        "params": {
            "Action": "SendMessage",
            "MessageBody": "a b+c/d=e&f?g#h%i~j*k'l(m)n!o,p;q:r@s$t[u]v{w}x|y^z`\"<>\\ é \U0001f600",
            "Attribute.1.Name": "",
            "": "nameless",
            "ä ö": "ü",
        },
    },
    "one name many times in the query": {"method": "GET", "url": "/?b=2&a=2&a=1&a=10&B=1&a=&c"},
    "a query in another spelling": {"method": "GET", "url": "/?QueueUrl=http%3A%2F%2Fx%2Fwork&A=~-_."},
    "a queue's path": {"url": f"/{ACCOUNT}/work", "headers": FORM, "body": b"Action=ReceiveMessage"},
    "a path with dots and empty parts": {"url": "/a/./b/../c//d/"},
    "a path with encoded characters": {"url": "/a%20b/%C3%A9/~x-y_z.w/a%2Fb"},
    "repeated headers": {"headers": (*JSON, ("X-Many", "one"), ("X-Many", "two"), ("x-many", "three"))},
    "headers with blanks": {"headers": (*JSON, ("X-Blank", "  a   b\t c  "), ("X-Empty", ""), ("X-Quote", '"a   b"'))},
    "headers with a tab": {"headers": (*JSON, ("X-Tab", "a\tb"))},
    "header names in many letters": {"headers": (*JSON, ("X-AMZ-Meta", "x"), ("x_y", "z"), ("A-B%s", "100%s"))},
    "headers that are not signed": {"headers": (*JSON, ("User-Agent", "test"), ("X-Amzn-Trace-Id", "x"))},
    "a session token": {"headers": JSON, "token": "token/with+odd=characters"},
    "a Date header in place of X-Amz-Date": {"headers": (*JSON, ("Date", "replaced by the signer"))},
    "another region": {"headers": JSON, "region": "mars-north-1"},
    "a delete": {"method": "DELETE", "url": "/"},
    "no payload signed, over TLS": {
        "headers": JSON, "body": b"{}", "unsigned_payload": True, "origin": "https://queue.test",
    },
    "the payload signed, over TLS": {"headers": JSON, "body": b"{}", "origin": "https://queue.test"},
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_what_botocore_signs_is_let_in(name: str) -> None:
    door = authenticator()
    for _ in range(2):  # the second time with what was learned from the first
        found = door.authenticate(signed(**GOOD[name]))
        assert (found.account, found.access_key) == (ACCOUNT, KEY)
        assert found.region == GOOD[name].get("region", "us-east-1")


@pytest.mark.parametrize("name", GOOD)
def test_a_wrong_secret_is_refused(name: str) -> None:
    request = signed(**GOOD[name], secret="another")
    assert vars(refused(request)) == {"status": 403, "code": "SignatureDoesNotMatch", "message": MISMATCH}


@pytest.mark.parametrize("name", GOOD)
def test_an_unknown_key_is_refused_even_with_a_known_secret(name: str) -> None:
    error = refused(signed(**GOOD[name], key="AKIDUNKNOWN"))
    assert vars(error) == {
        "status": 403,
        "code": "InvalidClientTokenId",
        "message": "The security token included in the request is invalid.",
    }


# What was changed on the way ------------------------------------------------------------------------


def original() -> Request:
    headers = (*JSON, ("X-Many", "one"), ("X-Many", "two"))
    return signed(url=f"/{ACCOUNT}/work?a=1&b=2", headers=headers, body=b'{"QueueUrl": "work"}', token="token")


CHANGES: dict[str, Any] = {
    "method": lambda r: setattr(r, "method", "GET"),
    "body": lambda r: setattr(r, "body", b'{"QueueUrl": "workk"}'),
    "no body": lambda r: setattr(r, "body", b""),
    "path": lambda r: setattr(r, "target", r.target.replace("work", "worm")),
    "shorter path": lambda r: setattr(r, "target", r.target.replace(f"/{ACCOUNT}", "")),
    "query value": lambda r: setattr(r, "target", r.target.replace("a=1", "a=2")),
    "more query": lambda r: setattr(r, "target", f"{r.target}&c=3"),
    "no query": lambda r: setattr(r, "target", r.target.partition("?")[0]),
    "target": lambda r: r.headers.update({"x-amz-target": "AmazonSQS.DeleteQueue"}),
    "no target": lambda r: r.headers.pop("x-amz-target"),
    "host": lambda r: r.headers.update({"host": "queue.test"}),
    "token": lambda r: r.headers.update({"x-amz-security-token": "other"}),
    "repeated header": lambda r: r.headers.update({"x-many": "two,one"}),
    "a header gone": lambda r: r.headers.pop("x-many"),
    "content type": lambda r: r.headers.update({"content-type": "text/plain"}),
    "time": lambda r: r.headers.update({"x-amz-date": "20260102T030406Z"}),
}


@pytest.mark.parametrize("warm", [False, True], ids=["at first sight", "after a good request"])
@pytest.mark.parametrize("change", CHANGES)
def test_every_change_is_noticed(change: str, warm: bool) -> None:
    door = authenticator()
    if warm:
        door.authenticate(original())
    request = original()
    CHANGES[change](request)
    assert (refused(request, door).code, refused(request, door).message) == ("SignatureDoesNotMatch", MISMATCH)


def test_every_other_signature_is_refused() -> None:
    good = original()
    door = authenticator()
    door.authenticate(good)
    head, _, signature = good.headers["authorization"].rpartition("=")
    for place in range(64):
        other = "0" if signature[place] != "0" else "1"
        good.headers["authorization"] = f"{head}={signature[:place]}{other}{signature[place + 1 :]}"
        assert refused(good, door).code == "SignatureDoesNotMatch"
    for text in ("", signature[:-1], signature + "0", signature.upper(), "é" * 64):
        good.headers["authorization"] = f"{head}={text}"
        assert refused(good, door).status in (400, 403)


def test_headers_that_nobody_signed_may_be_added_but_not_a_target() -> None:
    """A proxy may add headers. A target would change what the request does, so it counts only if it was signed."""
    door = authenticator()
    request = signed(headers=FORM, body=b"Action=ListQueues")
    request.headers["x-forwarded-for"] = "10.0.0.1"
    door.authenticate(request)
    request.headers["x-amz-target"] = "AmazonSQS.PurgeQueue"
    error = refused(request, door)
    assert error.code == "SignatureDoesNotMatch"
    assert "'X-Amz-Target' must be a 'SignedHeader'" in error.message


def test_the_payload_must_be_what_the_header_says() -> None:
    declared = (*JSON, ("X-Amz-Content-SHA256", "0" * 64))
    error = refused(signed(headers=declared, body=b"{}"))
    assert error.message == "The provided 'x-amz-content-sha256' header does not match what was computed."
    request = signed(headers=JSON, body=b"{}", unsigned_payload=True, origin="https://queue.test")
    request.secure = False  # a proxy took TLS away: nothing protects the body any more
    assert refused(request).code == "SignatureDoesNotMatch"


# Scope and time -------------------------------------------------------------------------------------


def test_the_scope_must_be_of_this_service() -> None:
    error = refused(signed(headers=JSON, service="sns"))
    assert (error.status, error.message) == (403, "Credential should be scoped to correct service: 'sqs'.")
    request = signed(headers=JSON)
    request.headers["authorization"] = request.headers["authorization"].replace("aws4_request", "aws5_request")
    assert refused(request).message == "Credential should be scoped with a valid terminator: 'aws4_request'."


def test_the_scope_must_be_of_the_day() -> None:
    request = signed(headers=JSON)
    request.headers["authorization"] = request.headers["authorization"].replace("/20260102/", "/20260101/")
    error = refused(request)
    assert error.code == "SignatureDoesNotMatch"
    assert error.message.endswith("'20260101' != '20260102'.")


@pytest.mark.parametrize("minutes", [-15, -14, 0, 14, 15])
def test_a_quarter_of_an_hour_either_way_is_let_in(minutes: int) -> None:
    authenticator(now=NOW + minutes * 60).authenticate(signed(headers=JSON))


def test_a_signature_from_the_past_has_expired() -> None:
    error = refused(signed(headers=JSON), authenticator(now=NOW + 15 * 60 + 1))
    assert vars(error) == {
        "status": 403,
        "code": "SignatureDoesNotMatch",
        "message": "Signature expired: 20260102T030405Z is now earlier than 20260102T030406Z "
        "(20260102T031906Z - 15 min.)",
    }


def test_a_signature_from_the_future_is_not_yet_current() -> None:
    error = refused(signed(headers=JSON), authenticator(now=NOW - 15 * 60 - 1))
    assert error.message == (
        "Signature not yet current: 20260102T030405Z is still later than 20260102T030404Z (20260102T024904Z + 15 min.)"
    )


def test_time_goes_on_for_what_was_let_in_before() -> None:
    now = NOW
    door = Authenticator([Credential(KEY, SECRET, ACCOUNT)], wall=lambda: now)
    request = signed(headers=JSON)
    door.authenticate(request)
    now += 15 * 60 + 1
    assert "expired" in refused(request, door).message


@pytest.mark.parametrize(
    "text",
    [
        "Fri, 02 Jan 2026 03:04:05 GMT",
        "Fri, 02 Jan 2026 03:04:05 -0000",
        "Fri, 02 Jan 2026 05:04:05 +0200",
        "20260102T030405Z",
    ],
)
def test_ways_to_write_a_date_header(text: str) -> None:
    assert stamp_of_date_header(text) == "20260102T030405Z"


def test_midnight_between_signing_and_arrival() -> None:
    midnight = NOW - NOW % 86_400
    authenticator(now=midnight + 1).authenticate(signed(headers=JSON, at=midnight - 1))


# What is malformed ----------------------------------------------------------------------------------


def with_authorization(text: str) -> Request:
    request = signed(headers=JSON)
    request.headers["authorization"] = text
    return request


SCOPE = f"{KEY}/20260102/us-east-1/sqs/aws4_request"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nonsense", "Authorization header requires the algorithm 'AWS4-HMAC-SHA256'."),
        ("Basic dXNlcjpwYXNz", "Authorization header requires the algorithm 'AWS4-HMAC-SHA256'."),
        ("AWS4-HMAC-SHA512 Credential=a", "Authorization header requires the algorithm 'AWS4-HMAC-SHA256'."),
        ("AWS4-HMAC-SHA256", "The Authorization header has a part that is not a key=value pair (missing equal-sign)."),
        (f"AWS4-HMAC-SHA256 Credential={SCOPE}, nonsense",
         "The Authorization header has a part that is not a key=value pair (missing equal-sign)."),
        (f"AWS4-HMAC-SHA256 SignedHeaders=host, Credential={SCOPE}",
         "Authorization header requires 'Signature' parameter."),
        ("AWS4-HMAC-SHA256 Signature=0",
         "Authorization header requires 'Credential' parameter. "
         "Authorization header requires 'SignedHeaders' parameter."),
        (f"AWS4-HMAC-SHA256 Credential={SCOPE}, Credential={SCOPE}, SignedHeaders=host, Signature=0",
         "Authorization header has more than one 'Credential' parameter."),
        ("AWS4-HMAC-SHA256 Credential=a/b/c/d, SignedHeaders=host, Signature=0",
         "Credential must have exactly 5 slash-delimited elements, as keyid/date/region/service/term."),
        ("AWS4-HMAC-SHA256 Credential=a//c/d/e, SignedHeaders=host, Signature=0",
         "Credential must have exactly 5 slash-delimited elements, as keyid/date/region/service/term."),
    ],
)  # fmt: skip
def test_malformed_authorization(text: str, message: str) -> None:
    error = refused(with_authorization(text))
    assert vars(error) == {"status": 400, "code": "IncompleteSignature", "message": message}


def test_the_host_must_be_signed() -> None:
    text = f"AWS4-HMAC-SHA256 Credential={SCOPE}, SignedHeaders=x-amz-date, Signature=0"
    error = refused(with_authorization(text))
    assert error.message == "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization header."


def test_without_any_signature() -> None:
    error = refused(Request("POST", "/", {"host": "queue.test"}, b"{}"))
    assert vars(error) == {
        "status": 403,
        "code": "MissingAuthenticationToken",
        "message": "Request is missing Authentication Token",
    }


@pytest.mark.parametrize(
    "stamp",
    [
        "",
        "x",
        "2026-01-02T03:04:05Z",
        "20260102T030405",
        "20261302T030405Z",
        "20260102T036005Z",
        "\u0662\u0660\u0662\u06660102T030405Z",
        "0" * 16,
    ],
)
def test_malformed_dates(stamp: str) -> None:
    for name in ("x-amz-date", "date"):
        request = signed(headers=JSON)
        del request.headers["x-amz-date"]
        request.headers[name] = stamp
        assert (refused(request).status, refused(request).code) == (400, "IncompleteSignature")


def test_no_date_at_all() -> None:
    request = signed(headers=JSON)
    del request.headers["x-amz-date"]
    assert "existence of either a 'X-Amz-Date' or a 'Date' header" in refused(request).message


def test_too_long_a_query_is_refused_before_it_is_sorted() -> None:
    error = refused(signed(method="GET", url="/?" + "&".join(f"a{n}=1" for n in range(1001))))
    assert (error.status, error.code) == (400, "InvalidParameterValue")


def test_a_signature_need_not_come_last() -> None:
    """Nothing is learned from such a header, but it is let in as often as it comes."""
    door = authenticator()
    request = signed(headers=JSON)
    scheme, _, parts = request.headers["authorization"].partition(" ")
    request.headers["authorization"] = f"{scheme} {', '.join(reversed(parts.split(', ')))}"
    for _ in range(2):
        door.authenticate(request)
    assert not door._grants
    door.authenticate(signed(headers=JSON))
    assert len(door._grants) == 1


def test_what_is_learned_from_requests_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "GRANTS_MAX", 5)
    door = authenticator()
    for number in range(50):
        door.authenticate(signed(headers=JSON, region=f"region-{number}"))
        assert len(door._grants) <= 5
        with pytest.raises(AuthError):
            door.authenticate(signed(headers=JSON, region=f"other-{number}", secret="wrong"))
    assert not any("other" in prefix for prefix in door._grants)


# Everybody is let in --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("authorization", "account", "region"),
    [
        ("", "000000000000", "us-east-1"),
        (f"AWS4-HMAC-SHA256 Credential={SCOPE}, SignedHeaders=host, Signature=0", "000000000000", "us-east-1"),
        ("AWS4-HMAC-SHA256 Credential=111122223333/20260102/eu-west-1/sqs/aws4_request, Signature=0",
         "111122223333", "eu-west-1"),
        ("AWS4-HMAC-SHA256 Credential=111122223333", "111122223333", "us-east-1"),
        ("Bearer x", "000000000000", "us-east-1"),
        ("Credential=/////", "000000000000", "us-east-1"),
    ],
)  # fmt: skip
def test_without_credentials_the_key_names_the_account(authorization: str, account: str, region: str) -> None:
    door = Authenticator([])
    assert door.is_open
    found = door.authenticate(Request("POST", "/", {"authorization": authorization}, b""))
    assert (found.account, found.region) == (account, region)
    assert found.allows("DeleteQueue", "any")


def test_guests_are_remembered_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "GUESTS_MAX", 5)
    door = Authenticator([])
    for number in range(50):
        door.authenticate(Request("POST", "/", {"authorization": f"Credential=key{number}"}, b""))
        assert len(door._guests) <= 5


# The pure functions ---------------------------------------------------------------------------------

PUBLISHED = (
    ("GET", "/", "", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    ("GET", "/", "Param2=value2&Param1=value1", "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"),
    ("POST", "/", "", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
)


@pytest.mark.parametrize(("method", "path", "query", "signature"), PUBLISHED)
def test_published_signatures(method: str, path: str, query: str, signature: str) -> None:
    """From AWS's Signature Version 4 test suite: get-vanilla, get-vanilla-query-order-key-case, post-vanilla."""
    claim = claim_of_header(
        f"AWS4-HMAC-SHA256 Credential={KEY}/20150830/us-east-1/service/aws4_request, "
        f"SignedHeaders=host;x-amz-date, Signature={signature}"
    )
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    canonical = (
        f"{method}\n{canonical_path(path)}\n{canonical_query(query)}\nhost:example.amazonaws.com\n"
        f"x-amz-date:20150830T123600Z\n\nhost;x-amz-date\n{empty}"
    )
    assert SigningKey(SECRET, claim).sign("20150830T123600Z", claim.scope, canonical) == claim.signature


@pytest.mark.parametrize(
    ("path", "canonical"),
    [
        ("/", "/"),
        ("", "/"),
        ("//", "/"),
        ("/a/../..", "/"),
        ("/a/./b", "/a/b"),
        ("/a//b/", "/a/b/"),
        ("/a b", "/a%20b"),
        ("/a%20b", "/a%2520b"),
        ("/~a", "/~a"),
    ],
)
def test_canonical_paths(path: str, canonical: str) -> None:
    assert canonical_path(path) == canonical


@pytest.mark.parametrize(
    ("query", "canonical"),
    [
        ("", ""),
        ("b=2&a=1", "a=1&b=2"),
        ("a=2&a=1&a", "a=&a=1&a=2"),
        ("a+b=c+d", "a%20b=c%20d"),
        ("a=%7e%2D%2b", "a=~-%2B"),
        ("a=1&X-Amz-Signature=0&b", "a=1&b="),
        ("&&a=1&", "a=1"),
        ("a=b=c", "a=b%3Dc"),
        ("a=%FF%zz", "a=%FF%25zz"),
    ],
)
def test_canonical_queries(query: str, canonical: str) -> None:
    assert canonical_query(query) == canonical


# Anything -------------------------------------------------------------------------------------------

TEXT = st.text(st.characters(min_codepoint=1, exclude_categories=["Cs"]), max_size=12)
VALUE = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)
NAME = st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,10}", fullmatch=True).map("x-{}".format)
SEGMENT = st.text(st.characters(codec="ascii", categories=["L", "N"], include_characters="-_.~"), max_size=8)


@settings(max_examples=100, deadline=None)
@given(
    method=st.sampled_from(["GET", "POST", "PUT"]),
    segments=st.lists(SEGMENT, max_size=4),
    params=st.dictionaries(TEXT, TEXT, max_size=5),
    headers=st.lists(st.tuples(NAME, VALUE), max_size=5),
    body=st.binary(max_size=50),
    expires=st.sampled_from([None, 60]),
)
def test_any_request_that_botocore_signs_is_let_in_and_no_other_body(
    method: str,
    segments: list[str],
    params: dict[str, str],
    headers: list[tuple[str, str]],
    body: bytes,
    expires: int | None,
) -> None:
    if expires is not None:
        body, method = b"", "GET"  # botocore moves a body into the query
    url = "/" + "/".join(segments)
    request = signed(method, url, headers, body, params=params, expires=expires)
    door = authenticator()
    assert door.authenticate(request).account == ACCOUNT
    request.body += b"x"
    assert refused(request, door).code == "SignatureDoesNotMatch"


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=100), st.dictionaries(st.sampled_from(["x-amz-date", "date", "host"]), st.text(max_size=30)))
def test_any_authorization_is_answered(text: str, headers: dict[str, str]) -> None:
    for authorization in (
        text,
        f"AWS4-HMAC-SHA256 {text}",
        f"AWS4-HMAC-SHA256 Credential={SCOPE}, SignedHeaders=host, {text}",
    ):
        request = Request("POST", "/", {**headers, "authorization": authorization}, b"")
        assert refused(request).status in (400, 403)
