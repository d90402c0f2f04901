"""Makes a picture of a page half as large: its few hundred colours become a palette of 256.

Source: Portable Network Graphics (PNG) Specification, third edition.
"""

import struct
import zlib
from collections import Counter
from collections.abc import Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOURS = 256
APART = 1_000
"""Colours differ for the eye that are so far from each other: the sum of the squares of what their parts differ by."""

CHANNELS = {2: 3, 6: 4}
"""Bytes of a pixel, by the picture's type: RGB, and RGB with alpha."""


def smaller(picture: bytes) -> bytes:
    """A PNG with 8 bits a channel, as browsers write it, with a palette; rare colours become the next best."""
    chunks = list(_chunks(picture))
    width, height, depth, kind = struct.unpack(">IIBB", chunks[0][1][:10])
    assert depth == 8
    channels = CHANNELS[kind]
    data = zlib.decompress(b"".join(content for name, content in chunks if name == b"IDAT"))
    rows = [
        [row[at : at + 3] for at in range(0, len(row), channels)]
        for row in _unfiltered(data, width * channels, channels)
    ]
    counted = Counter(pixel for row in rows for pixel in row)
    palette = _chosen([colour for colour, _ in counted.most_common()])
    places = {colour: place for place, colour in enumerate(palette)}
    for colour in counted:
        if colour not in places:
            places[colour] = min(range(len(palette)), key=lambda place: _distance(palette[place], colour))
    packed = b"".join(b"\0" + bytes(places[pixel] for pixel in row) for row in rows)
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    made = [(b"IHDR", header), (b"PLTE", b"".join(palette)), (b"IDAT", zlib.compress(packed, 9)), (b"IEND", b"")]
    return SIGNATURE + b"".join(_chunk(name, content) for name, content in made)


def _chosen(colours: list[bytes]) -> list[bytes]:
    """First those that look like no other, however rare: a green dot stays green. Then the most frequent others."""
    chosen: list[bytes] = []
    for colour in colours:
        if len(chosen) < COLOURS // 2 and all(_distance(one, colour) > APART for one in chosen):
            chosen.append(colour)
    known = set(chosen)
    return chosen + [colour for colour in colours if colour not in known][: COLOURS - len(chosen)]


def _chunks(picture: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(SIGNATURE)
    while at < len(picture):
        (length,) = struct.unpack(">I", picture[at : at + 4])
        yield picture[at + 4 : at + 8], picture[at + 8 : at + 8 + length]
        at += length + 12


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _unfiltered(data: bytes, width: int, channels: int) -> Iterator[bytes]:
    """The rows of a picture, without what was subtracted from them."""
    before = bytearray(width)
    for start in range(0, len(data), width + 1):
        way, row = data[start], bytearray(data[start + 1 : start + 1 + width])
        if way == 1:
            for at in range(channels, width):
                row[at] = (row[at] + row[at - channels]) & 255
        elif way == 2:
            row = bytearray((one + above) & 255 for one, above in zip(row, before, strict=True))
        elif way == 3:
            for at in range(width):
                left = row[at - channels] if at >= channels else 0
                row[at] = (row[at] + (left + before[at]) // 2) & 255
        elif way == 4:
            for at in range(width):
                left, corner = (row[at - channels], before[at - channels]) if at >= channels else (0, 0)
                row[at] = (row[at] + _nearest(left, before[at], corner)) & 255
        yield bytes(row)
        before = row


def _nearest(left: int, above: int, corner: int) -> int:
    """Of the three, that which is nearest to left + above - corner (Paeth)."""
    guess = left + above - corner
    return min((left, above, corner), key=lambda one: abs(guess - one))


def _distance(one: bytes, other: bytes) -> int:
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True))
