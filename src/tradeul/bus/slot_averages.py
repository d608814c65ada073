"""Hashes ``rvol:hist:avg:{symbol}`` as the bytes of their commands. Pure.

Measured at 12,400 tickers x 192 slots: 17 MB in Valkey (small hashes of whole
numbers are packed), 1.3 s here, some 4 s of the server's time.
"""

from collections.abc import Sequence

from tradeul.bus.topics import averages_key

SLOTS = 192
_FIELDS = [b"$%d\r\n%d\r\n$" % (len(str(slot)), slot) for slot in range(SLOTS)]


def encode(symbol: str, shares: Sequence[int]) -> bytes:
    """HSET key 0 .. 1 .. 191 .., as the protocol writes it; every slot, so that no old one stays."""
    key = averages_key(symbol).encode()
    parts = [b"*%d\r\n$4\r\nHSET\r\n$%d\r\n%s\r\n" % (2 + 2 * SLOTS, len(key), key)]
    for field, value in zip(_FIELDS, shares, strict=True):
        text = b"%d" % value
        parts.append(b"%s%d\r\n%s\r\n" % (field, len(text), text))
    return b"".join(parts)
