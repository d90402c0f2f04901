"""Credentials: what may be declared, whom they make of a caller, and how they are limited."""

from typing import Any

import msgspec
import pytest

from encola.protocols.aws.credentials import Credential, anyone, identity_of
from encola.protocols.aws.identity import Authenticator

GOOD = {"access_key": "AKID", "secret_key": "secret"}


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("access_key", "", "access_key must have 1 to 128 characters"),
        ("access_key", "a" * 129, "access_key must have 1 to 128 characters"),
        ("access_key", "a/b", "access_key may only have letters, digits, '_', '-' and '.'"),
        ("access_key", "é", "access_key may only have letters, digits, '_', '-' and '.'"),
        ("secret_key", "", "secret_key must not be empty"),
        ("account", "1", "account must have 12 digits"),
        ("account", "\u0661" * 12, "account must have 12 digits"),
        ("account", "11112222333a", "account must have 12 digits"),
        ("name", "a b", "name may only have letters, digits and '_+=,.@-', at most 64 of them"),
        ("name", "a" * 65, "name may only have letters, digits and '_+=,.@-', at most 64 of them"),
        ("actions", [], "actions must list at least one pattern, and none that is empty"),
        ("actions", [""], "actions must list at least one pattern, and none that is empty"),
        ("queues", [], "queues must list at least one pattern, and none that is empty"),
        ("queues", ["a", ""], "queues must list at least one pattern, and none that is empty"),
    ],
)
def test_fields_that_cannot_be_right(field: str, value: Any, message: str) -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert({**GOOD, field: value}, Credential)
    assert str(caught.value) == message


def test_the_longest_names() -> None:
    credential = Credential("a" * 128, "s", name="n" * 64)
    assert (len(credential.access_key), len(credential.name)) == (128, 64)


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({**GOOD, "acount": "111122223333"}, Credential)


def test_one_key_has_one_secret() -> None:
    with pytest.raises(ValueError, match="same access_key"):
        Authenticator([Credential("AKID", "one"), Credential("AKID", "two")])


def test_no_text_form_shows_the_secret() -> None:
    credential = Credential("AKID", "hidden-secret")
    shown = f"{credential} {credential!r} {credential.__rich_repr__()} {identity_of(credential, 'r')!r}"
    assert "hidden-secret" not in shown
    assert "AKID" in shown


def test_a_named_credential_is_a_user_and_another_the_account_itself() -> None:
    root = identity_of(Credential("AKID", "secret", "111122223333"), "eu-west-1")
    assert (root.arn, root.user_id) == ("arn:aws:iam::111122223333:root", "111122223333")
    user = identity_of(Credential("AKID", "secret", "111122223333", "ann"), "eu-west-1")
    assert user.arn == "arn:aws:iam::111122223333:user/ann"
    assert user.user_id.startswith("AIDA")
    assert len(user.user_id) == 21
    again = identity_of(Credential("OTHER", "key", "111122223333", "ann"), "us-east-1")
    elsewhere = identity_of(Credential("AKID", "secret", "444455556666", "ann"), "us-east-1")
    assert again.user_id == user.user_id != elsewhere.user_id


@pytest.mark.parametrize(
    ("key", "account"),
    [("111122223333", "111122223333"), ("AKID", "000000000000"), ("", "000000000000"), ("11112222333", "000000000000")],
)
def test_anyone_is_who_the_key_says(key: str, account: str) -> None:
    found = anyone(key, "r")
    assert (found.account, found.arn, found.user_id) == (account, f"arn:aws:iam::{account}:root", account)


@pytest.mark.parametrize(
    ("actions", "queues", "action", "queue", "allowed"),
    [
        (["*"], ["*"], "DeleteQueue", "any", True),
        (["SendMessage"], ["*"], "SendMessage", "any", True),
        (["SendMessage"], ["*"], "ReceiveMessage", "any", False),
        (["sqs:sendmessage"], ["*"], "SendMessage", "any", True),
        (["SQS:Send*"], ["*"], "SendMessage", "any", True),
        (["Get*", "List*"], ["*"], "ListQueueTags", "any", True),
        (["Get*", "List*"], ["*"], "SendMessage", "any", False),
        (["?eceiveMessage"], ["*"], "ReceiveMessage", "any", True),
        (["*"], ["work"], "SendMessage", "work", True),
        (["*"], ["work"], "SendMessage", "Work", False),
        (["*"], ["work"], "SendMessage", "work-2", False),
        (["*"], ["work-*", "other"], "SendMessage", "work-2", True),
        (["*"], ["work-[12]"], "SendMessage", "work-2", True),
        (["*"], ["work-[12]"], "SendMessage", "work-3", False),
        (["*"], ["*"], "ListQueues", "", True),
        (["*"], ["work"], "ListQueues", "", False),
        (["ListQueues"], ["*"], "ListQueues", "", True),
        (["SendMessage"], ["work"], "SendMessage", "", False),
    ],
)
def test_limits(actions: list[str], queues: list[str], action: str, queue: str, allowed: bool) -> None:
    credential = msgspec.convert({**GOOD, "actions": actions, "queues": queues}, Credential)
    assert identity_of(credential, "r").allows(action, queue) is allowed
