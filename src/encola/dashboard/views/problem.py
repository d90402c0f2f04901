"""The page that says what went wrong."""

import msgspec


class Problem(msgspec.Struct):
    """Its twin."""

    problem: str
