"""Metric math as a tree.

    or         and (OR and)*
    and        comparison (AND comparison)*
    comparison sum ((== | != | < | <= | > | >=) sum)*
    sum        product ((+ | -) product)*
    product    negation ((* | /) negation)*
    negation   - negation | power
    power      atom (^ negation)?
    atom       number | id | "text" | WORD | WORD(or, ...) | [or, ...] | (or)

A chain of operators of one level is one node, so that the tree is as deep as its parentheses, and no deeper.
"""

import math
from collections.abc import Callable

import msgspec

from encola.protocols.cloudwatch.expressions.tokens import ExpressionError, Kind, Token, tokens_of

DEPTH_MAX = 40
"""Parentheses, brackets, functions and signs within each other."""


class Number(msgspec.Struct, frozen=True):
    """A constant."""

    value: float


class Text(msgspec.Struct, frozen=True):
    """A text in quotes, without them."""

    value: str


class Word(msgspec.Struct, frozen=True):
    """An option of a function, as REPEAT."""

    name: str


class Reference(msgspec.Struct, frozen=True):
    """The Id of a query."""

    id: str


class Call(msgspec.Struct, frozen=True):
    """A function with its arguments."""

    name: str
    arguments: tuple["Node", ...]


class Listed(msgspec.Struct, frozen=True):
    """``[a, b]``"""

    items: tuple["Node", ...]


class Negated(msgspec.Struct, frozen=True):
    """``-a``"""

    operand: "Node"


class Chain(msgspec.Struct, frozen=True):
    """``first op a op b``, evaluated from left to right."""

    first: "Node"
    rest: tuple[tuple[str, "Node"], ...]


Node = Number | Text | Word | Reference | Call | Listed | Negated | Chain


class Expression(msgspec.Struct, frozen=True):
    """A tree, and what it needs: ``references`` are the Ids in it, ``all_metrics`` the texts given to METRICS()."""

    root: Node
    references: tuple[str, ...]
    all_metrics: tuple[str, ...]


def parse(text: str) -> Expression:
    """Raises ExpressionError, and nothing else."""
    parser = _Parser(tokens_of(text))
    root = parser.whole()
    return Expression(root, tuple(dict.fromkeys(parser.references)), tuple(dict.fromkeys(parser.all_metrics)))


class _Parser:
    """Recursive descent, one method a level."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0
        self.references: list[str] = []
        self.all_metrics: list[str] = []

    def whole(self) -> Node:
        root = self._or()
        if self._next.kind is not Kind.END:
            raise self._unexpected()
        return root

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        token = self._tokens[self._at]
        self._at += 1
        return token

    def _is(self, *signs: str) -> bool:
        return self._next.kind is Kind.SIGN and self._next.text in signs

    def _expect(self, sign: str) -> None:
        if not self._is(sign):
            raise self._unexpected(f": '{sign}' is missing")
        self._at += 1

    def _unexpected(self, more: str = "") -> ExpressionError:
        token = self._next
        if token.kind is Kind.END:
            return ExpressionError(f"Unexpected end of the expression{more}")
        return ExpressionError(f"Unexpected '{token.text[:50]}' at position {token.place + 1}{more}")

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise ExpressionError(f"The expression is nested more than {DEPTH_MAX} levels deep")

    def _chain(self, operand: Callable[[], Node], *signs: str) -> Node:
        first = operand()
        rest = []
        while self._is(*signs):
            sign = self._take().text
            rest.append((sign, operand()))
        return Chain(first, tuple(rest)) if rest else first

    def _or(self) -> Node:
        return self._chain(self._and, "OR")

    def _and(self) -> Node:
        return self._chain(self._comparison, "AND")

    def _comparison(self) -> Node:
        return self._chain(self._sum, "==", "!=", "<", "<=", ">", ">=")

    def _sum(self) -> Node:
        return self._chain(self._product, "+", "-")

    def _product(self) -> Node:
        return self._chain(self._negation, "*", "/")

    def _negation(self) -> Node:
        if not self._is("-"):
            return self._power()
        self._deeper()
        self._at += 1
        operand = self._negation()
        self._depth -= 1
        return Negated(operand)

    def _power(self) -> Node:
        base = self._atom()
        if not self._is("^"):
            return base
        self._deeper()
        self._at += 1
        exponent = self._negation()
        self._depth -= 1
        return Chain(base, (("^", exponent),))

    def _atom(self) -> Node:
        token = self._next
        if token.kind is Kind.SIGN and token.text in ("(", "["):
            return self._enclosed(token.text)
        if token.kind in (Kind.SIGN, Kind.END):
            raise self._unexpected()
        self._at += 1
        if token.kind is Kind.NUMBER:
            return Number(_number(token))
        if token.kind is Kind.TEXT:
            return Text(token.text[1:-1])
        if token.kind is Kind.ID:
            self.references.append(token.text)
            return Reference(token.text)
        if not self._is("("):
            return Word(token.text)
        self._at += 1
        call = Call(token.text, self._arguments(")"))
        if call.name == "METRICS":
            self.all_metrics.append(_part_of_id(call))
        return call

    def _enclosed(self, opening: str) -> Node:
        self._at += 1
        if opening == "[":
            return Listed(self._arguments("]"))
        self._deeper()
        inner = self._or()
        self._expect(")")
        self._depth -= 1
        return inner

    def _arguments(self, closing: str) -> tuple[Node, ...]:
        self._deeper()
        found: list[Node] = []
        while not self._is(closing):
            if found:
                self._expect(",")
            found.append(self._or())
        self._at += 1
        self._depth -= 1
        return tuple(found)


def _number(token: Token) -> float:
    value = float(token.text)
    if not math.isfinite(value):
        raise ExpressionError(f"The number at position {token.place + 1} is too large")
    return value


def _part_of_id(call: Call) -> str:
    """What METRICS("part") wants in the Ids; "" for METRICS()."""
    if not call.arguments:
        return ""
    only = call.arguments[0]
    if len(call.arguments) > 1 or not isinstance(only, Text):
        raise ExpressionError("METRICS takes nothing, or one text in quotes")
    return only.value
