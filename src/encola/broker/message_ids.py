"""Message ids: UUIDs of version 4 in text, made without a system call for each.

The first eight digits are a counter in strides, so that neighbours look nothing alike; the rest is drawn by lot at the
start and after every ``DRAW_AFTER`` ids, long before the counter comes round. Ids of one process never meet, and those
of two meet no likelier than 90 random bits do.
"""

import uuid

DRAW_AFTER = 4096
_STEP = 0x9E3779B1  # odd, so that adding it modulo 2**32 comes round after all numbers only


class MessageIds:
    """Hands out ids such as ``0f8fad5b-d9cb-469f-a165-70867728950e`` (RFC 9562, section 5.4)."""

    def __init__(self) -> None:
        self._head = uuid.uuid4().time_low
        self._left = 0
        self._tail = ""

    def new(self) -> str:
        """An id that nobody had before."""
        if self._left == 0:
            self._left = DRAW_AFTER
            self._tail = str(uuid.uuid4())[8:]
        self._left -= 1
        self._head = head = self._head + _STEP & 0xFFFFFFFF
        return f"{head:08x}{self._tail}"
