"""Who calls: credentials (what the operator declares) and identities (what a request proved to be).

A credential belongs to a 12-digit account and can be limited to actions and to queues by patterns. The patterns are
shell-style (``*``, ``?``, ``[abc]``); actions compare without regard to case and with or without their service
(``sqs:``, ``lambda:``, ``cloudwatch:``).
"""

import base64
import hashlib
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

import msgspec

DEFAULT_ACCOUNT = "000000000000"
DEFAULT_REGION = "us-east-1"
ACCESS_KEY_LENGTH_MAX = 128  # https://docs.aws.amazon.com/IAM/latest/APIReference/API_AccessKey.html
NAME_LENGTH_MAX = 64  # of an IAM user

_USER_ID_LENGTH = 17  # characters after the prefix "AIDA" of an IAM user's id


def is_account(text: str) -> bool:
    """True for the 12 decimal digits of an AWS account number."""
    return len(text) == 12 and text.isascii() and text.isdigit()


class Credential(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An access key and what it may do. Raises ValueError when a field cannot be right. Its repr hides the secret."""

    access_key: str
    secret_key: str
    account: str = DEFAULT_ACCOUNT
    name: str = ""
    actions: tuple[str, ...] = ("*",)
    queues: tuple[str, ...] = ("*",)

    def __post_init__(self) -> None:
        if not self.access_key or len(self.access_key) > ACCESS_KEY_LENGTH_MAX:
            raise ValueError(f"access_key must have 1 to {ACCESS_KEY_LENGTH_MAX} characters")
        if not all(char.isascii() and (char.isalnum() or char in "_-.") for char in self.access_key):
            raise ValueError("access_key may only have letters, digits, '_', '-' and '.'")
        if not self.secret_key:
            raise ValueError("secret_key must not be empty")
        if not is_account(self.account):
            raise ValueError("account must have 12 digits")
        if len(self.name) > NAME_LENGTH_MAX or not all(
            char.isascii() and (char.isalnum() or char in "_+=,.@-") for char in self.name
        ):
            raise ValueError(f"name may only have letters, digits and '_+=,.@-', at most {NAME_LENGTH_MAX} of them")
        for patterns, what in ((self.actions, "actions"), (self.queues, "queues")):
            if not patterns or not all(patterns):
                raise ValueError(f"{what} must list at least one pattern, and none that is empty")

    def may_mean(self, pattern: str, actions: Sequence[str]) -> bool:
        """Is there any of these actions that the pattern stands for?"""
        return any(_any_action((pattern,), action) for action in actions)

    def __repr__(self) -> str:
        return (
            f"Credential(access_key={self.access_key!r}, secret_key='...', account={self.account!r}, "
            f"name={self.name!r}, actions={self.actions!r}, queues={self.queues!r})"
        )

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [(name, "..." if name == "secret_key" else getattr(self, name)) for name in self.__struct_fields__]


class Identity(msgspec.Struct, frozen=True):
    """Who a request comes from. ``user_id`` is what SQS shows as SenderId; ``arn`` is the principal in policies."""

    account: str
    access_key: str
    name: str
    region: str
    arn: str
    user_id: str
    actions: tuple[str, ...] = ("*",)
    queues: tuple[str, ...] = ("*",)
    unlimited: bool = True
    operator: bool = False  # the server itself, which carries out what its configuration declares

    @property
    def is_root(self) -> bool:
        """The account itself, not somebody of its: a credential without a name and without limits."""
        return self.unlimited and not self.name

    def allows(self, action: str, queue_name: str) -> bool:
        """May this caller do ``action`` (as ``SendMessage``) on the queue of that name?

        An action on no queue in particular (ListQueues) has the name "": as with IAM, only the pattern "*" allows it.
        """
        if self.unlimited:
            return True
        return self.may(action) and any(fnmatchcase(queue_name, one) for one in self.queues)

    def may(self, action: str) -> bool:
        """May this caller do ``action`` on any queue that it may touch at all?"""
        return self.unlimited or _any_action(self.actions, action)


def _any_action(patterns: Sequence[str], action: str) -> bool:
    wanted = _bare(action)
    return any(fnmatchcase(wanted, _bare(one)) for one in patterns)


def _bare(action: str) -> str:
    return action.lower().removeprefix("sqs:").removeprefix("lambda:").removeprefix("cloudwatch:")


def identity_of(credential: Credential, region: str) -> Identity:
    """The identity that a credential proves: an IAM user when it has a name, else the account itself."""
    account, name = credential.account, credential.name
    return Identity(
        account=account,
        access_key=credential.access_key,
        name=name,
        region=region,
        arn=f"arn:aws:iam::{account}:user/{name}" if name else f"arn:aws:iam::{account}:root",
        user_id=_user_id(account, name) if name else account,
        actions=credential.actions,
        queues=credential.queues,
        unlimited="*" in credential.actions and "*" in credential.queues,
    )


def _user_id(account: str, name: str) -> str:
    # IAM would have drawn it by lot; a digest is as good a name and stays the same across restarts.
    digest = hashlib.sha256(f"{account}/{name}".encode()).digest()
    return "AIDA" + base64.b32encode(digest).decode()[:_USER_ID_LENGTH]


def anyone(access_key: str, region: str) -> Identity:
    """The identity of a caller who need not prove anything: an access key of 12 digits names its account."""
    account = access_key if is_account(access_key) else DEFAULT_ACCOUNT
    return Identity(account, access_key, "", region, f"arn:aws:iam::{account}:root", account)
