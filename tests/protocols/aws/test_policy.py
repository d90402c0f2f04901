"""Queue policies: which documents are taken, and what they decide."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from encola.protocols.aws.policy import Decision, PolicyError, evaluate, parse_policy

OWNER, OTHER = "111122223333", "444455556666"
ARN = f"arn:aws:sqs:us-east-1:{OWNER}:work"
ALLOW = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": ARN}


def document(*statements: Any, **fields: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements), **fields})


def decide(*statements: dict[str, Any], **asked: Any) -> Decision:
    question: dict[str, Any] = {
        "principal_arn": f"arn:aws:iam::{OTHER}:user/ann",
        "account": OTHER,
        "owner_account": OWNER,
        "action": "SendMessage",
        "resource_arn": ARN,
        "context": {},
    }
    return evaluate(parse_policy(document(*({**ALLOW, **one} for one in statements))), **{**question, **asked})


# Deciding -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("principal", "decision"),
    [
        ("*", Decision.ALLOW),
        ({"AWS": "*"}, Decision.ALLOW),
        ({"AWS": OTHER}, Decision.ALLOW),
        ({"AWS": f"arn:aws:iam::{OTHER}:root"}, Decision.ALLOW),
        ({"AWS": f"arn:aws:iam::{OTHER}:user/ann"}, Decision.ALLOW),
        ({"AWS": f"arn:aws:iam::{OTHER}:user/bob"}, Decision.NONE),
        ({"AWS": [OWNER, OTHER]}, Decision.ALLOW),
        ({"AWS": OWNER}, Decision.NONE),
        ({"Service": "sns.amazonaws.com"}, Decision.NONE),
        ({"Service": ["sns.amazonaws.com"], "AWS": OTHER}, Decision.ALLOW),
        ({"Federated": "cognito-identity.amazonaws.com"}, Decision.NONE),
        ({"CanonicalUser": OTHER}, Decision.NONE),
    ],
)
def test_principals(principal: Any, decision: Decision) -> None:
    assert decide({"Principal": principal}) is decision


@pytest.mark.parametrize(
    ("action", "decision"),
    [
        ("sqs:SendMessage", Decision.ALLOW),
        ("SQS:sendmessage", Decision.ALLOW),
        ("sqs:Send*", Decision.ALLOW),
        ("sqs:*Message", Decision.ALLOW),
        ("sqs:?endMessage", Decision.ALLOW),
        ("sqs:*", Decision.ALLOW),
        ("*", Decision.ALLOW),
        (["sqs:ReceiveMessage", "sqs:SendMessage"], Decision.ALLOW),
        ("sqs:ReceiveMessage", Decision.NONE),
        ("sqs:SendMessageBatch", Decision.NONE),
    ],
)
def test_actions(action: Any, decision: Decision) -> None:
    assert decide({"Action": action}) is decision
    assert decide({"Action": action}, action="sqs:SendMessage") is decision


@pytest.mark.parametrize(
    ("resource", "decision"),
    [
        (ARN, Decision.ALLOW),
        ("*", Decision.ALLOW),
        (f"arn:aws:sqs:*:{OWNER}:work", Decision.ALLOW),
        ("arn:aws:sqs:*", Decision.ALLOW),
        (ARN[:-1] + "?", Decision.ALLOW),
        ([f"{ARN}-2", ARN], Decision.ALLOW),
        (f"{ARN}-2", Decision.NONE),
        (ARN.upper(), None),
    ],
)
def test_resources(resource: Any, decision: Decision | None) -> None:
    if decision is None:
        with pytest.raises(PolicyError):
            decide({"Resource": resource})
    else:
        assert decide({"Resource": resource}) is decision


def test_without_a_resource_it_is_the_queue_itself() -> None:
    statement = {name: value for name, value in ALLOW.items() if name != "Resource"}
    policy = parse_policy(document(statement))
    assert policy.statements[0].resources == ("*",)


def without(name: str, **more: Any) -> str:
    return document({**{key: value for key, value in ALLOW.items() if key != name}, **more})


@pytest.mark.parametrize(
    ("text", "decision"),
    [
        (without("Principal", NotPrincipal={"AWS": OWNER}), Decision.ALLOW),
        (without("Principal", NotPrincipal={"AWS": OTHER}), Decision.NONE),
        (without("Action", NotAction="sqs:DeleteQueue"), Decision.ALLOW),
        (without("Action", NotAction=["sqs:Send*"]), Decision.NONE),
        (without("Resource", NotResource=f"{ARN}-2"), Decision.ALLOW),
        (without("Resource", NotResource=ARN), Decision.NONE),
    ],
)
def test_what_a_statement_is_not_about(text: str, decision: Decision) -> None:
    question = {"principal_arn": f"arn:aws:iam::{OTHER}:root", "account": OTHER, "owner_account": OWNER}
    asked = {"action": "sqs:SendMessage", "resource_arn": ARN, "context": {}}
    assert evaluate(parse_policy(text), **question, **asked) is decision


def test_a_denial_wins_wherever_it_stands() -> None:
    deny = {"Effect": "Deny"}
    assert decide({}, deny) is decide(deny, {}) is decide(deny) is Decision.DENY
    assert decide({}, {**deny, "Action": "sqs:ReceiveMessage"}) is Decision.ALLOW
    assert decide({}, {**deny, "Principal": {"AWS": OWNER}}) is Decision.ALLOW


def test_conditions_must_all_hold() -> None:
    condition = {
        "IpAddress": {"aws:SourceIp": ["10.0.0.0/8", "127.0.0.1"]},
        "Bool": {"aws:SecureTransport": True},
        "StringLike": {"AWS:UserAgent": "Boto3*"},
    }
    context = {"aws:SourceIp": "10.1.2.3", "aws:SecureTransport": "true", "aws:UserAgent": "Boto3/1"}
    assert decide({"Condition": condition}, context=context) is Decision.ALLOW
    for change in ({"aws:SourceIp": "11.1.2.3"}, {"aws:SecureTransport": "false"}, {"aws:UserAgent": "curl"}):
        assert decide({"Condition": condition}, context={**context, **change}) is Decision.NONE


def test_some_keys_follow_from_the_question() -> None:
    for key, value in (
        ("aws:PrincipalArn", f"arn:aws:iam::{OTHER}:user/ann"),
        ("aws:PrincipalAccount", OTHER),
        ("aws:ResourceAccount", OWNER),
    ):
        assert decide({"Condition": {"StringEquals": {key: value}}}) is Decision.ALLOW
        assert decide({"Condition": {"StringEquals": {key: "x"}}}) is Decision.NONE


# Taking and refusing --------------------------------------------------------------------------------


def test_a_policy_without_version_or_with_one_statement_that_is_no_list() -> None:
    assert len(parse_policy(json.dumps({"Statement": ALLOW})).statements) == 1
    assert len(parse_policy(document(ALLOW, Version="2008-10-17", Id="any")).statements) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "The policy is not valid JSON."),
        ("{", "The policy is not valid JSON."),
        ("[" * 8000, "The policy is not valid JSON."),
        ("[]", "The policy must be an object."),
        ('"x"', "The policy must be an object."),
        (document(ALLOW, Extra=1), "The policy has an unknown field 'Extra'."),
        (document(ALLOW, Version="2012-10-18"), None),
        (json.dumps({"Version": "2012-10-17"}), None),
        (document(), None),
        (document(*[ALLOW] * 21), None),
        (document("x"), "A statement must be an object."),
        (document({**ALLOW, "Effekt": "Allow"}), "A statement has an unknown field 'Effekt'."),
        (document({**ALLOW, "Effect": "allow"}), "A statement's Effect must be Allow or Deny."),
        (without("Effect"), "A statement's Effect must be Allow or Deny."),
        (without("Principal"), "A statement must have Principal."),
        (without("Action"), "A statement must have Action."),
        (document({**ALLOW, "NotAction": "sqs:X"}), "A statement may have Action or NotAction, not both."),
        (document({**ALLOW, "NotPrincipal": "*"}), "A statement may have Principal or NotPrincipal, not both."),
        (document({**ALLOW, "NotResource": "*"}), "A statement may have Resource or NotResource, not both."),
        (document({**ALLOW, "Sid": 1}), "A statement's Sid must be a string."),
        (document({**ALLOW, "Sid": "a"}, {**ALLOW, "Sid": "a"}),
         "Statement IDs (SID) in a single policy must be unique."),
        (document({**ALLOW, "Action": "SendMessage"}), "The action 'SendMessage' is not an SQS action."),
        (document({**ALLOW, "Action": "s3:GetObject"}), "The action 's3:GetObject' is not an SQS action."),
        (document({**ALLOW, "Action": []}), "A statement's Action must not be empty."),
        (document({**ALLOW, "Action": 1}), "A statement's Action must be a string or a list of strings."),
        (document({**ALLOW, "Action": ["sqs:x"] * 8}), "A statement may have at most 7 actions."),
        (document({**ALLOW, "Resource": "work"}), "The resource 'work' is not an ARN."),
        (document({**ALLOW, "Principal": "x"}), "A Principal must be an object."),
        (document({**ALLOW, "Principal": {}}), "A Principal must name somebody."),
        (document({**ALLOW, "Principal": {"AWS": "x"}}), "Invalid principal in policy: 'x'."),
        (document({**ALLOW, "Principal": {"AWS": f"arn:aws:iam::{OTHER}:user/*"}}),
         f"Invalid principal in policy: 'arn:aws:iam::{OTHER}:user/*'."),
        (document({**ALLOW, "Principal": {"Aws": "*"}}), "A Principal has an unknown field 'Aws'."),
        (document({**ALLOW, "Principal": {"AWS": [str(10**11 + n) for n in range(51)]}}),
         "A policy may have at most 50 principals."),
        (document({**ALLOW, "Condition": []}), "A Condition must be an object."),
        (document({**ALLOW, "Condition": {"StringEquals": "x"}}),
         "The condition operator 'StringEquals' must have an object of keys and values."),
        (document({**ALLOW, "Condition": {"StringEquals": {"k": []}}}), "A statement's Condition must not be empty."),
        (document({**ALLOW, "Condition": {"StringIs": {"k": "v"}}}), "Unknown condition operator 'StringIs'."),
        (document({**ALLOW, "Condition": {"IpAddress": {"aws:SourceIp": "here"}}}),
         "A value of the condition operator 'IpAddress' is not valid."),
        (document({**ALLOW, "Condition": {"StringEquals": {f"k{n}": "v" for n in range(11)}}}),
         "A policy may have at most 10 conditions."),
        (document({**ALLOW, "Resource": "arn:aws:sqs:*:*:${aws:username}"}), "Policy variables are not supported."),
        (document({**ALLOW, "Sid": "x" * 8192}), "The policy is longer than 8192 bytes."),
        (document({**ALLOW, "Sid": "_" * 4050}).replace("_", "é"), "The policy is longer than 8192 bytes."),
    ],
)  # fmt: skip
def test_documents_that_are_refused(text: str, message: str | None) -> None:
    with pytest.raises(PolicyError) as caught:
        parse_policy(text)
    assert str(caught.value)
    if message is not None:
        assert str(caught.value) == message


def test_the_limits_themselves_are_allowed() -> None:
    principals = {"AWS": [str(10**11 + n) for n in range(31)]}
    statement = {**ALLOW, "Action": [f"sqs:{n}" for n in range(7)]}
    condition = {"StringEquals": {f"k{n}": "v" for n in range(10)}}
    others = [{**ALLOW, "Sid": str(n)} for n in range(18)]
    whole = document({**statement, "Principal": principals}, {**ALLOW, "Condition": condition}, *others)
    padded = whole + " " * (8192 - len(whole))
    assert len(parse_policy(padded).statements) == 20
    with pytest.raises(PolicyError):
        parse_policy(padded + " ")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from(["Sid", "Effect", "Principal", "NotPrincipal", "Action", "Resource", "Condition", "x"])


@given(st.dictionaries(FIELDS, JSON), st.sampled_from(list(ALLOW)))
def test_any_document_is_taken_or_refused(changed: dict[str, Any], removed: str) -> None:
    statement = {**{name: value for name, value in ALLOW.items() if name != removed}, **changed}
    for text in (document(statement), json.dumps(changed), json.dumps({"Statement": changed})):
        try:
            policy = parse_policy(text)
        except PolicyError:
            continue
        question = {"principal_arn": f"arn:aws:iam::{OTHER}:root", "account": OTHER, "owner_account": OWNER}
        assert evaluate(policy, **question, action="sqs:SendMessage", resource_arn=ARN, context={}) in Decision


@given(st.text())
def test_any_text_is_taken_or_refused(text: str) -> None:
    with pytest.raises(PolicyError):
        parse_policy(text)
