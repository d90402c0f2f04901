"""Queue policies: who else may use a queue, as an IAM policy document attached to it. Pure; no I/O, no clock.

``parse_policy`` checks a document once, when it is set; ``evaluate`` asks it at a request. What we cannot apply (an
unknown operator, a policy variable, a field that we do not know) is refused when it is set, so that no rule is silently
ignored. Sources: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html and, for the limits,
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-policies.html.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Any

import msgspec

from encola.protocols.aws.conditions import Condition, ConditionError, parse_condition
from encola.protocols.aws.credentials import is_account
from encola.protocols.aws.patterns import like

POLICY_BYTES_MAX = 8192
STATEMENTS_MAX = 20
PRINCIPALS_MAX = 50
CONDITIONS_MAX = 10
ACTIONS_MAX = 7  # of a statement

VERSIONS = ("2008-10-17", "2012-10-17")

_OUTSIDERS = ("Service", "Federated", "CanonicalUser")  # kinds of principals that never call an encola server


class PolicyError(ValueError):
    """The document is no policy that a queue can have; the text says why."""


class Decision(Enum):
    """What a policy says of a request; NONE when no statement is about it."""

    ALLOW = "allow"
    DENY = "deny"
    NONE = "none"


class Statement(msgspec.Struct, frozen=True):
    """One rule. The ``not_`` flags turn a list round: it names what the rule is *not* about."""

    allow: bool
    principals: frozenset[str]
    actions: tuple[str, ...]  # patterns in lower case
    resources: tuple[str, ...]  # patterns
    conditions: tuple[Condition, ...] = ()
    not_principals: bool = False
    not_actions: bool = False
    not_resources: bool = False


class Policy(msgspec.Struct, frozen=True):
    """A checked policy document, ready to evaluate."""

    statements: tuple[Statement, ...]


def evaluate(
    policy: Policy,
    *,
    principal_arn: str,
    account: str,
    owner_account: str,
    action: str,
    resource_arn: str,
    context: Mapping[str, str],
) -> Decision:
    """What the policy says of this request: a Deny that applies wins over any Allow; NONE when no rule applies.

    ``account`` is the caller's, ``owner_account`` the queue's. ``action`` is ``SendMessage`` or ``sqs:SendMessage``
    (a batch counts as its single action). ``context`` holds keys like ``aws:SourceIp``; those that follow from the
    other arguments are added. Who the queue's own account lets in is not a question for its policy.
    """
    action = action.lower()
    if ":" not in action:
        action = f"sqs:{action}"
    names = {"*", account, f"arn:aws:iam::{account}:root", principal_arn}
    found: dict[str, str] | None = None
    decision = Decision.NONE
    for statement in policy.statements:
        if (
            names.isdisjoint(statement.principals) is not statement.not_principals
            or any(like(one, action) for one in statement.actions) is statement.not_actions
            or any(like(one, resource_arn) for one in statement.resources) is statement.not_resources
        ):
            continue
        if statement.conditions:
            if found is None:
                found = {name.lower(): value for name, value in context.items()}
                found["aws:principalarn"] = principal_arn
                found["aws:principalaccount"] = account
                found["aws:resourceaccount"] = owner_account
            if not all(condition.holds(found) for condition in statement.conditions):
                continue
        if not statement.allow:
            return Decision.DENY
        decision = Decision.ALLOW
    return decision


def parse_policy(text: str) -> Policy:
    """Reads and checks a policy document. Raises PolicyError."""
    if len(text.encode("utf-8", "replace")) > POLICY_BYTES_MAX:
        raise PolicyError(f"The policy is longer than {POLICY_BYTES_MAX} bytes.")
    try:
        document = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise PolicyError("The policy is not valid JSON.") from None
    fields = _fields(document, ("Version", "Id", "Statement"), "The policy")
    version = fields.get("Version", VERSIONS[0])
    if version not in VERSIONS:
        raise PolicyError(f"The policy's Version must be one of {', '.join(VERSIONS)}.")
    if not isinstance(fields.get("Id", ""), str):
        raise PolicyError("The policy's Id must be a string.")
    items = fields.get("Statement")
    items = items if isinstance(items, list) else [items]
    if not 1 <= len(items) <= STATEMENTS_MAX:
        raise PolicyError(f"A policy must have 1 to {STATEMENTS_MAX} statements.")
    sids = [item["Sid"] for item in items if isinstance(item, dict) and isinstance(item.get("Sid"), str)]
    if len(set(sids)) != len(sids):
        raise PolicyError("Statement IDs (SID) in a single policy must be unique.")
    if version == VERSIONS[1] and "${" in text:
        raise PolicyError("Policy variables are not supported.")
    statements = tuple(_statement(item) for item in items)
    if sum(len(one.principals) for one in statements) > PRINCIPALS_MAX:
        raise PolicyError(f"A policy may have at most {PRINCIPALS_MAX} principals.")
    if sum(len(one.conditions) for one in statements) > CONDITIONS_MAX:
        raise PolicyError(f"A policy may have at most {CONDITIONS_MAX} conditions.")
    return Policy(statements)


_STATEMENT_FIELDS = (
    "Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition",
)  # fmt: skip


def _statement(item: Any) -> Statement:
    fields = _fields(item, _STATEMENT_FIELDS, "A statement")
    if not isinstance(fields.get("Sid", ""), str):
        raise PolicyError("A statement's Sid must be a string.")
    effect = fields.get("Effect")
    if effect not in ("Allow", "Deny"):
        raise PolicyError("A statement's Effect must be Allow or Deny.")
    principal, not_principals = _one_of(fields, "Principal", "NotPrincipal")
    action, not_actions = _one_of(fields, "Action", "NotAction")
    resource, not_resources = _one_of(fields, "Resource", "NotResource", default="*")  # the queue that it belongs to
    actions = _strings(action, "Action")
    if len(actions) > ACTIONS_MAX:
        raise PolicyError(f"A statement may have at most {ACTIONS_MAX} actions.")
    for one in actions:
        if one != "*" and not one.lower().startswith("sqs:"):
            raise PolicyError(f"The action {one!r} is not an SQS action.")
    resources = _strings(resource, "Resource")
    for one in resources:
        if one != "*" and not one.startswith("arn:"):
            raise PolicyError(f"The resource {one!r} is not an ARN.")
    return Statement(
        allow=effect == "Allow",
        principals=_principals(principal),
        actions=tuple(one.lower() for one in actions),
        resources=resources,
        conditions=_conditions(fields.get("Condition", {})),
        not_principals=not_principals,
        not_actions=not_actions,
        not_resources=not_resources,
    )


def _principals(value: Any) -> frozenset[str]:
    """The names as they are compared: ``*``, an account number, an ARN, or something that no caller is called."""
    if value == "*":
        return frozenset(("*",))
    found: set[str] = set()
    for kind, names in _fields(value, ("AWS", *_OUTSIDERS), "A Principal").items():
        for name in _strings(names, "Principal"):
            if kind in _OUTSIDERS:
                found.add(f"{kind}:{name}")
            elif name == "*" or is_account(name) or _is_principal_arn(name):
                found.add(name)
            else:
                raise PolicyError(f"Invalid principal in policy: {name!r}.")
    if not found:
        raise PolicyError("A Principal must name somebody.")
    return frozenset(found)


def _is_principal_arn(name: str) -> bool:
    parts = name.split(":", 5)
    return (
        len(parts) == 6
        and parts[0] == "arn"
        and parts[2] in ("iam", "sts")
        and is_account(parts[4])
        and bool(parts[5])
        and "*" not in name
        and "?" not in name
    )


def _conditions(value: Any) -> tuple[Condition, ...]:
    if not isinstance(value, dict):
        raise PolicyError("A Condition must be an object.")
    found: list[Condition] = []
    for name, keys in value.items():
        if not isinstance(keys, dict) or not keys:
            raise PolicyError(f"The condition operator {name!r} must have an object of keys and values.")
        for key, values in keys.items():
            try:
                found.append(parse_condition(name, key, _strings(values, "Condition", scalars=True)))
            except ConditionError as error:
                raise PolicyError(str(error)) from None
    return tuple(found)


def _fields(value: Any, known: tuple[str, ...], what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise PolicyError(f"{what} must be an object.")
    unknown = [name for name in value if name not in known]
    if unknown:
        raise PolicyError(f"{what} has an unknown field {unknown[0]!r}.")
    return value


def _one_of(fields: dict[str, Any], name: str, negated: str, default: str | None = None) -> tuple[Any, bool]:
    if name in fields and negated in fields:
        raise PolicyError(f"A statement may have {name} or {negated}, not both.")
    if negated in fields:
        return fields[negated], True
    if name not in fields and default is None:
        raise PolicyError(f"A statement must have {name}.")
    return fields.get(name, default), False


def _strings(value: Any, what: str, *, scalars: bool = False) -> tuple[str, ...]:
    """A string or a list of strings; with ``scalars`` also numbers and booleans, as conditions may have them."""
    items = value if isinstance(value, list) else [value]
    found = []
    for item in items:
        if scalars and isinstance(item, bool | int | float):
            item = str(item).lower()
        if not isinstance(item, str) or not (item or scalars):
            raise PolicyError(f"A statement's {what} must be a string or a list of strings.")
        found.append(item)
    if not found:
        raise PolicyError(f"A statement's {what} must not be empty.")
    return tuple(found)
