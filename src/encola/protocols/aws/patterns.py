"""Matching as IAM does it: ``*`` is any run of characters, ``?`` any one; nothing else is special.

Linear in practice and never worse than pattern times text, so that a policy full of stars costs no time (a regular
expression made of it would backtrack).
"""


def like(pattern: str, text: str) -> bool:
    """Does the whole text match? Upper and lower case differ."""
    if pattern == "*":
        return True
    if "*" not in pattern and "?" not in pattern:
        return pattern == text
    at, star, resume = 0, -1, 0  # place in the pattern, its last star, and where in the text that star's run ends
    place, length = 0, len(pattern)
    while place < len(text):
        if at < length and pattern[at] == "*":
            star, resume, at = at, place, at + 1
        elif at < length and pattern[at] in ("?", text[place]):
            at, place = at + 1, place + 1
        elif star >= 0:
            resume += 1
            at, place = star + 1, resume
        else:
            return False
    return pattern[at:].strip("*") == ""


def arn_like(pattern: str, text: str) -> bool:
    """Like ``like``, but no star reaches over a colon into the next of the six parts of an ARN."""
    patterns, parts = pattern.split(":", 5), text.split(":", 5)
    return len(patterns) == len(parts) == 6 and all(map(like, patterns, parts))
