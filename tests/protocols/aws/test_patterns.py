"""Patterns of policies: a star is any run of characters, a question mark is one, nothing else is special."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from encola.protocols.aws.patterns import arn_like, like

SHORT = st.text("ab*?:", max_size=12)


@given(SHORT, st.text("ab:", max_size=12))
def test_it_means_what_a_regular_expression_would(pattern: str, text: str) -> None:
    expression = "".join({"*": ".*", "?": "."}.get(char, re.escape(char)) for char in pattern)
    assert like(pattern, text) is bool(re.fullmatch(expression, text, re.DOTALL))


@given(st.text(max_size=20))
def test_a_text_without_stars_is_like_itself_and_any_text_is_like_a_star(text: str) -> None:
    assert like(text.replace("*", "").replace("?", ""), text.replace("*", "").replace("?", ""))
    assert like("*", text)
    assert like(f"*{text.replace('*', 'x').replace('?', 'y')}*", f"a{text.replace('*', 'x').replace('?', 'y')}b")


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("[ab]", "a", False),
        ("a.c", "abc", False),
        ("a?c", "abc", True),
        ("a?c", "ac", False),
        ("A", "a", False),
        ("", "", True),
        ("", "a", False),
        ("**", "", True),
        ("a*b*c", "aXbYc", True),
        ("a*b*c", "aXcYb", False),
        ("*\n*", "a\nb", True),
    ],
)
def test_examples(pattern: str, text: str, matches: bool) -> None:
    assert like(pattern, text) is matches


def test_many_stars_cost_no_more_than_pattern_times_text() -> None:
    """A regular expression of as many stars would not be through before the test's time is over."""
    assert not like("*a" * 50 + "b", "a" * 5000)


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("arn:aws:sqs:*:*:work", "arn:aws:sqs:eu-west-1:111122223333:work", True),
        ("arn:aws:sqs:*:work", "arn:aws:sqs:eu-west-1:111122223333:work", False),
        ("arn:*:*:*:*:*", "arn:aws:sns:us-east-1:1:topic:with:colons", True),
        ("arn:aws:s?s:us-east-1:1:*", "arn:aws:sns:us-east-1:1:t", True),
        ("*", "arn:aws:sns:us-east-1:1:t", False),
        ("arn:aws:sns:us-east-1:1:t", "not an arn", False),
    ],
)
def test_a_star_stays_within_its_part_of_an_arn(pattern: str, text: str, matches: bool) -> None:
    assert arn_like(pattern, text) is matches
