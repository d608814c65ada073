"""Where the vendor answers, and the keys it knows us by: the real one's addresses, or those that stand in for them."""

import msgspec

from tradeul.settings import Settings

VENDOR_REST = "https://api.massive.com"
VENDOR_STREAM = "wss://socket.massive.com/stocks"
DELAYED_STREAM = "wss://delayed.massive.com/stocks"
VENDOR_FILES = "https://files.massive.com"
SIMULATED_KEY = "simulated"  # the simulator takes any; this one is in nobody's logs
FEED_DELAY_SECONDS = 15 * 60.0


class Vendor(msgspec.Struct, frozen=True):
    """Where the vendor answers, and the key it knows us by."""

    rest: str
    stream: str
    delayed_stream: str
    files: str
    key: str
    files_key: str
    files_secret: str


def real_vendor(settings: Settings, key: str) -> Vendor:
    return Vendor(
        settings.vendor_rest or VENDOR_REST,
        settings.vendor_stream or VENDOR_STREAM,
        settings.vendor_stream or DELAYED_STREAM,
        settings.vendor_files or VENDOR_FILES,
        key,
        settings.vendor_files_key or "",
        settings.vendor_files_secret or "",
    )


def simulated_vendor(host: str, port: int) -> Vendor:
    address, key = f"{host}:{port}", SIMULATED_KEY
    rest, stream = f"http://{address}", f"ws://{address}/stocks"
    return Vendor(rest, stream, stream, rest, key, key, key)
