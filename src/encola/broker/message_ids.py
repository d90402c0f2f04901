"""Random message ids (UUID version 4 in text), drawn in blocks: one system call serves many messages."""

import os

_BLOCK = 256
_ID_BYTES = 16


class MessageIds:
    """Hands out ids such as ``0f8fad5b-d9cb-469f-a165-70867728950e`` (RFC 9562, section 5.4)."""

    def __init__(self) -> None:
        self._digits = ""
        self._next = 0

    def new(self) -> str:
        """A random id that nobody had before."""
        start = self._next
        if start >= len(self._digits):
            self._digits = os.urandom(_BLOCK * _ID_BYTES).hex()
            start = 0
        self._next = start + 2 * _ID_BYTES
        d = self._digits[start : self._next]
        return f"{d[:8]}-{d[8:12]}-4{d[13:16]}-{_VARIANT[d[16]]}{d[17:20]}-{d[20:]}"


_VARIANT = {digit: "89ab"[int(digit, 16) % 4] for digit in "0123456789abcdef"}
