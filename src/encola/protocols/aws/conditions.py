"""The conditions of a policy statement: operators by name, checked when a policy is set and applied at each request.

Semantics: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html. All
operators and all their keys must hold; of the values of a key one must (none of them for a negated operator). A key
that the request lacks fails, but holds for a negated operator, with ``...IfExists`` and with ``ForAllValues:``.
"""

import ipaddress
import operator
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from encola.protocols.aws.patterns import arn_like, like


class ConditionError(ValueError):
    """A condition that cannot be applied; the text says why."""


class _Operator(msgspec.Struct, frozen=True):
    """``read`` turns a text into something to compare, and raises ValueError; ``holds`` takes wanted and found."""

    read_wanted: Callable[[str], Any]
    read_found: Callable[[str], Any]
    holds: Callable[[Any, Any], bool]
    negated: bool = False


class Condition(msgspec.Struct, frozen=True):
    """One operator on one key, ready to apply. ``operator`` is None for ``Null``."""

    key: str
    operator: _Operator | None
    wanted: tuple[Any, ...]
    if_missing: bool

    def holds(self, context: Mapping[str, str]) -> bool:
        """``context`` has its keys in lower case."""
        found = context.get(self.key)
        if self.operator is None:
            return (found is None) in self.wanted
        if found is None:
            return self.if_missing
        try:
            value = self.operator.read_found(found)
        except ValueError:
            return self.operator.negated
        matched = any(self.operator.holds(one, value) for one in self.wanted)
        return matched != self.operator.negated


def parse_condition(name: str, key: str, texts: tuple[str, ...]) -> Condition:
    """Raises ConditionError when the operator is unknown or a value does not suit it."""
    base, if_missing = name, False
    for prefix in ("ForAnyValue:", "ForAllValues:"):
        if base.startswith(prefix):
            base, if_missing = base.removeprefix(prefix), prefix == "ForAllValues:"
    if base == "Null" and name == "Null":
        return Condition(key.lower(), None, tuple(_values(_boolean, texts, name)), False)
    if base.endswith("IfExists"):
        base, if_missing = base.removesuffix("IfExists"), True
    found = OPERATORS.get(base)
    if found is None:
        raise ConditionError(f"Unknown condition operator {name!r}.")
    any_value = name.startswith("ForAnyValue:") and not name.endswith("IfExists")
    if_missing = if_missing or (found.negated and not any_value)
    return Condition(key.lower(), found, tuple(_values(found.read_wanted, texts, name)), if_missing)


def _values(read: Callable[[str], Any], texts: tuple[str, ...], name: str) -> list[Any]:
    try:
        return [read(text) for text in texts]
    except ValueError:
        raise ConditionError(f"A value of the condition operator {name!r} is not valid.") from None


def _text(text: str) -> str:
    return text


def _number(text: str) -> float:
    value = float(text)
    if value != value:
        raise ValueError(text)
    return value


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(text)
    return text.lower() == "true"


def _date(text: str) -> float:
    """Seconds since 1970, of those or of an ISO 8601 date."""
    try:
        return _number(text)
    except ValueError:
        date = datetime.fromisoformat(text)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network(text, strict=False)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    address = ipaddress.ip_address(text)
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address


def _arn_pattern(text: str) -> str:
    if text.count(":") < 5 and text != "*":
        raise ValueError(text)
    return "*:*:*:*:*:*" if text == "*" else text


def _within(network: Any, address: Any) -> bool:
    return address in network


def _table() -> dict[str, _Operator]:
    table = {
        "StringEquals": _Operator(_text, _text, operator.eq),
        "StringEqualsIgnoreCase": _Operator(str.casefold, str.casefold, operator.eq),
        "StringLike": _Operator(_text, _text, like),
        "ArnEquals": _Operator(_arn_pattern, _text, arn_like),
        "ArnLike": _Operator(_arn_pattern, _text, arn_like),
        "IpAddress": _Operator(_network, _address, _within),
        "Bool": _Operator(_boolean, _boolean, operator.eq),
        "BinaryEquals": _Operator(_text, _text, operator.eq),
    }
    for kind, read in (("Numeric", _number), ("Date", _date)):
        table |= {
            f"{kind}Equals": _Operator(read, read, operator.eq),
            f"{kind}LessThan": _Operator(read, read, operator.gt),  # wanted > found
            f"{kind}LessThanEquals": _Operator(read, read, operator.ge),
            f"{kind}GreaterThan": _Operator(read, read, operator.lt),
            f"{kind}GreaterThanEquals": _Operator(read, read, operator.le),
        }
    negated = {
        "StringNotEquals": "StringEquals",
        "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
        "StringNotLike": "StringLike",
        "ArnNotEquals": "ArnEquals",
        "ArnNotLike": "ArnLike",
        "NotIpAddress": "IpAddress",
        "NumericNotEquals": "NumericEquals",
        "DateNotEquals": "DateEquals",
    }
    for name, positive in negated.items():
        table[name] = msgspec.structs.replace(table[positive], negated=True)
    return table


OPERATORS = _table()
