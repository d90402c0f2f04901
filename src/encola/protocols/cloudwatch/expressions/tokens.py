"""Metric math as tokens."""

import re
from enum import Enum

import msgspec

LENGTH_MAX = 2048
"""Characters of an expression (the API reference's limit)."""


class ExpressionError(Exception):
    """What is wrong with an expression, for its author."""


class Kind(Enum):
    """Kinds of tokens; an ``ID`` begins with a small letter, a ``WORD`` (a function, an option) with a capital one."""

    NUMBER = "number"
    TEXT = "text"
    ID = "id"
    WORD = "word"
    SIGN = "sign"
    END = "end"


class Token(msgspec.Struct, frozen=True):
    """``place`` is where it begins, in characters from 0."""

    kind: Kind
    text: str
    place: int


_TOKEN = re.compile(
    r"""\s*(?:
        (?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
      | (?P<text>"[^"]*"|'[^']*')
      | (?P<id>[a-z][a-zA-Z0-9_]*)
      | (?P<word>[A-Z][A-Z0-9_]*)
      | (?P<sign>==|!=|<=|>=|&&|\|\||[-+*/^(),\[\]<>])
    )""",
    re.VERBOSE | re.ASCII,
)
_SAME = {"&&": "AND", "||": "OR"}


def tokens_of(text: str) -> list[Token]:
    """The tokens, and one for the end. Raises ExpressionError."""
    if len(text) > LENGTH_MAX:
        raise ExpressionError(f"The expression has more than {LENGTH_MAX} characters")
    found: list[Token] = []
    place = 0
    end = len(text.rstrip())
    while place < end:
        match = _TOKEN.match(text, place)
        if match is None or match.lastgroup is None:
            place += len(text[place:]) - len(text[place:].lstrip())
            raise ExpressionError(f"Unexpected character at position {place + 1}")
        kind, written = Kind(match.lastgroup), match[match.lastgroup]
        if written in ("AND", "OR"):
            kind = Kind.SIGN
        found.append(Token(kind, _SAME.get(written, written), match.start(match.lastgroup)))
        place = match.end()
    found.append(Token(Kind.END, "", end))
    return found
