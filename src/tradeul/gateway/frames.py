"""RFC 6455 frames of the server, built once per message and handed to every transport as they are.

On a gateway socket every data frame is built here: aiohttp's own `send_str`
beside them would be a second writer of the same stream. Uncompressed; pings,
pongs and answers to a close stay with aiohttp.
"""

TEXT_FINAL = 0x81  # FIN, opcode text
CLOSE_FINAL = 0x88
SHORT = 125  # the longest payload whose length fits the second byte
TWO_BYTES = 126
EIGHT_BYTES = 127


def text_frame(payload: bytes) -> bytes:
    """One unfragmented, unmasked text frame; ``payload`` is UTF-8."""
    size = len(payload)
    if size <= SHORT:
        return bytes((TEXT_FINAL, size)) + payload
    if size < 1 << 16:
        return bytes((TEXT_FINAL, TWO_BYTES)) + size.to_bytes(2, "big") + payload
    return bytes((TEXT_FINAL, EIGHT_BYTES)) + size.to_bytes(8, "big") + payload


def close_frame(code: int) -> bytes:
    return bytes((CLOSE_FINAL, 2)) + code.to_bytes(2, "big")
