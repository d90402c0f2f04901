"""Bodies of messages as people read them: JSON with indents, text, or hex; the first part of what is long. Pure.

Nothing is hidden and nothing is changed: keys stay in their order, numbers stay as they are written, and characters
that a page would swallow, or that would turn the text around them, are shown by a sign of their own.
"""

import re
from collections.abc import Iterator
from typing import Literal

import msgspec

Show = Literal["json", "text", "hex"]
SHOWS: tuple[Show, ...] = ("json", "text", "hex")

SHOWN_BYTES = 48 * 1024
"""So much of a text is shown at first, and so much of the bytes behind a hex view, divided by ``HEX_COSTS``."""

ALL_BYTES = 4 * 1024 * 1024
"""So much is shown at most, also on demand: what is longer can be downloaded."""

HEX_COSTS = 4
HEX_ROW = 16
INDENT, INDENTS_MAX = "  ", 40

_WORD = re.compile(r'"(?:[^"\\]++|\\.)*+"|[\[\]{},:]|[^\s\[\]{},:"]+')
_UNSEEN = {
    **{code: chr(0x2400 + code) for code in range(0x20) if code not in (0x09, 0x0A)},
    0x7F: "\u2421",
    **{code: f"⟨{code:02X}⟩" for code in range(0x80, 0xA0)},
    **{code: f"⟨U+{code:04X}⟩" for code in (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))},
}


class Body(msgspec.Struct):
    """``text`` is what is shown, ``show`` how; ``natural`` is what its content suggests. ``whole``: nothing was cut."""

    size: int
    show: Show
    natural: Show
    text: str
    whole: bool


def visible(text: str) -> str:
    """Control characters, and those that change the direction of text, are replaced by signs."""
    return text.translate(_UNSEEN)


def natural_of(body: bytes) -> Show:
    """What a body seems to be: objects and lists in JSON, else text; hex for what is neither."""
    try:
        body.decode()
    except UnicodeDecodeError:
        return "hex"
    if b"\0" in body:
        return "hex"
    return "json" if body.lstrip()[:1] in (b"{", b"[") and _is_json(body) else "text"


def _is_json(body: bytes) -> bool:
    try:
        msgspec.json.decode(body, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def shown(body: bytes, show: str = "", *, everything: bool = False) -> Body:
    """A body as ``show`` says, or as its content suggests; its first part, or all of it."""
    natural = natural_of(body)
    chosen: Show = next((one for one in SHOWS if one == show), natural)
    if chosen == "json" and natural != "json":
        chosen = natural
    limit = ALL_BYTES if everything else SHOWN_BYTES
    if chosen == "hex":
        part = body[: limit // HEX_COSTS]
        return Body(len(body), chosen, natural, "\n".join(_hex_rows(part)), len(part) == len(body))
    if chosen == "json":
        text, whole = pretty(body.decode(), limit)
    else:
        text, whole = body[:limit].decode("utf-8", "replace" if len(body) <= limit else "ignore"), len(body) <= limit
    return Body(len(body), chosen, natural, visible(text), whole)


def _hex_rows(part: bytes) -> Iterator[str]:
    for start in range(0, len(part), HEX_ROW):
        row = part[start : start + HEX_ROW]
        letters = "".join(chr(octet) if 0x20 <= octet < 0x7F else "." for octet in row)
        yield f"{start:06x}  {row.hex(' '):<{HEX_ROW * 3 - 1}}  {letters}"


def pretty(text: str, limit: int) -> tuple[str, bool]:
    """JSON, one member a line, and whether it is all of it: it ends after about ``limit`` characters.

    Words are written as they came. What is deeply nested is not indented any deeper, so that the text does not
    grow by its square.
    """
    parts: list[str] = []
    depth = length = 0
    before = ""
    for match in _WORD.finditer(text):
        word = match[0]
        if length > limit:
            return "".join(parts), False
        if word in "]}":
            depth -= 1
            piece = word if before in ("[", "{") else _line(depth) + word
        elif word == ":":
            piece = ": "
        elif word == ",":
            piece = word
        else:
            piece = _line(depth) + word if before in ("[", "{", ",") else word
            depth += word in "[{"
        parts.append(piece[: limit + 1])
        length += len(piece)
        before = word
    return "".join(parts), length <= limit


def _line(depth: int) -> str:
    return "\n" + INDENT * min(depth, INDENTS_MAX)
