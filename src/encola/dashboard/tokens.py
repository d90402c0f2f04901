"""Signed texts: what the server gave to a browser comes back unchanged, or not at all. Pure.

    token = base64url(content) "." base64url(HMAC-SHA256(key, purpose "." content))

The purpose is part of what is signed, so that a token for one thing is none for another.
"""

import base64
import binascii
import hashlib
import hmac

TOKEN_LENGTH_MAX = 2048


def sign(key: bytes, purpose: str, content: bytes) -> str:
    """A token that holds ``content``, readable by all, made by nobody else."""
    return f"{_text(content)}.{_text(_digest(key, purpose, content))}"


def verify(key: bytes, purpose: str, token: str) -> bytes | None:
    """The content of a token that was signed with this key for this purpose; None for any other text."""
    content = content_of(token)
    if content is None:
        return None
    given = _bytes(token.partition(".")[2])
    if given is None or not hmac.compare_digest(given, _digest(key, purpose, content)):
        return None
    return content


def content_of(token: str) -> bytes | None:
    """What a token says, without a look at its signature."""
    if len(token) > TOKEN_LENGTH_MAX or "." not in token:
        return None
    return _bytes(token.partition(".")[0])


def _digest(key: bytes, purpose: str, content: bytes) -> bytes:
    return hmac.digest(key, purpose.encode() + b"." + content, hashlib.sha256)


def _text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _bytes(text: str) -> bytes | None:
    try:
        return base64.b64decode(text.encode() + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
