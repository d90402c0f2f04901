"""NextToken: where the next page begins, and of which request. It names nothing that its holder may not see anyway."""

import base64
import binascii
import hashlib
from typing import Any

import msgspec

from encola.protocols.cloudwatch.errors import CloudWatchError

_FINGERPRINT_LENGTH = 12


def fingerprint(*parameters: Any) -> str:
    """Stands for the parameters of a request: a token is good for the same ones only."""
    return hashlib.sha256(msgspec.json.encode(parameters)).hexdigest()[:_FINGERPRINT_LENGTH]


def write(place: Any, asked: str) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode((asked, place))).decode()


def read(token: str, asked: str, kind: Any) -> Any:
    """The place, of this type. Raises CloudWatchError (InvalidNextToken)."""
    try:
        of, place = msgspec.json.decode(base64.urlsafe_b64decode(token.encode("ascii")), type=tuple[str, kind])
    except (binascii.Error, UnicodeError, msgspec.DecodeError, RecursionError):
        of, place = "", None
    if of != asked or place is None:
        raise CloudWatchError("InvalidNextToken", "The next token specified is invalid.")
    return place
