"""The MD5 digests by which SQS clients check what was sent and received.

Source: Amazon SQS developer guide, "Calculating the MD5 message digest for message attributes".
"""

import hashlib
from collections.abc import Mapping

from encola.engine.message import Header

_STRING, _BINARY = b"\x01", b"\x02"


def md5_of(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def md5_of_attributes(headers: Mapping[str, Header]) -> str | None:
    """Name, type and value of each attribute in the order of names, each preceded by its length; None for none."""
    if not headers:
        return None
    parts: list[bytes] = []
    for name in sorted(headers):
        header = headers[name]
        parts += (
            _sized(name.encode()),
            _sized(header.type.encode()),
            _BINARY if header.type.startswith("Binary") else _STRING,
            _sized(header.value),
        )
    return md5_of(b"".join(parts))


def _sized(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data
