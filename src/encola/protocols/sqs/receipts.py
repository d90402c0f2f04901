"""Receipt handles: opaque to clients, a queue and a fencing token to us.

    1 byte format, 8 bytes queue, 8 bytes message, 6 bytes lease, 4 bytes CRC-32 of the rest; base64url, 36 characters

The checksum tells a handle from garbage; it is no secret, since a handle gives nobody a right that the queue's access
rules do not.
"""

import binascii
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode

from encola.engine.message import MessageId, QueueId, Receipt

_FORMAT = 1
_PACKED = struct.Struct(">BQQHI")
_LENGTH = 36


def handle_of(queue: QueueId, message: MessageId, lease: int) -> str:
    packed = _PACKED.pack(_FORMAT, queue, message, lease >> 32, lease & 0xFFFFFFFF)
    return urlsafe_b64encode(packed + binascii.crc32(packed).to_bytes(4, "big")).decode()


def receipt_of(handle: str, queue: QueueId) -> Receipt | None:
    """The receipt that a handle stands for; None when it is not one of this queue's."""
    if len(handle) != _LENGTH:
        return None
    try:
        data = urlsafe_b64decode(handle)
        form, of_queue, message, high, low = _PACKED.unpack(data[:-4])
    except (ValueError, struct.error):
        return None
    if form != _FORMAT or of_queue != queue or binascii.crc32(data[:-4]).to_bytes(4, "big") != data[-4:]:
        return None
    return Receipt(MessageId(message), high << 32 | low)
