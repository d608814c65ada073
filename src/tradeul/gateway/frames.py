"""RFC 6455 frames of the server, built once per message and handed to every transport as they are.

    payload -> `Framed` -> .plain, and .deflated for whoever negotiated permessage-deflate (RFC 7692)

On a gateway socket every data frame is built here: aiohttp's own `send_str`
beside them would be a second compressor of the same stream. Each message is
compressed from an empty window, as without context takeover, so its bytes suit
every reader of a full window, whatever it read before, and one compression
serves all. Pings, pongs and answers to a close stay with aiohttp, which never
compresses them and keeps no state between them.
"""

import zlib
from functools import cached_property

TEXT_FINAL = 0x81  # FIN, opcode text
COMPRESSED = 0x40  # RSV1
CLOSE_FINAL = 0x88
SHORT = 125  # the longest payload whose length fits the second byte
TWO_BYTES = 126
EIGHT_BYTES = 127

FULL_WINDOW_BITS = 15  # whoever asks for a smaller one gets plain frames, which the extension allows
SHORTEST_DEFLATED_BYTES = 256  # below it nothing is won
LEVEL = 6
EMPTY_BLOCK = b"\x00\x00\xff\xff"  # what a sync flush ends with, and RFC 7692 leaves out


class Framed:
    """One message, ready to be written."""

    def __init__(self, payload: bytes) -> None:
        """``payload`` is UTF-8."""
        self._payload = payload
        self.plain = text_frame(payload)

    @cached_property
    def deflated(self) -> bytes:
        if len(self._payload) < SHORTEST_DEFLATED_BYTES:
            return self.plain
        compressor = zlib.compressobj(LEVEL, zlib.DEFLATED, -FULL_WINDOW_BITS)
        packed = compressor.compress(self._payload) + compressor.flush(zlib.Z_SYNC_FLUSH)
        return _frame(TEXT_FINAL | COMPRESSED, packed.removesuffix(EMPTY_BLOCK))


def text_frame(payload: bytes) -> bytes:
    """One unfragmented, unmasked text frame; ``payload`` is UTF-8."""
    return _frame(TEXT_FINAL, payload)


def close_frame(code: int, reason: str = "") -> bytes:
    """``reason``: at most 123 bytes."""
    return _frame(CLOSE_FINAL, code.to_bytes(2, "big") + reason.encode())


def _frame(first: int, payload: bytes) -> bytes:
    size = len(payload)
    if size <= SHORT:
        return bytes((first, size)) + payload
    if size < 1 << 16:
        return bytes((first, TWO_BYTES)) + size.to_bytes(2, "big") + payload
    return bytes((first, EIGHT_BYTES)) + size.to_bytes(8, "big") + payload
