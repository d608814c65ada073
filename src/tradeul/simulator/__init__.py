"""A Polygon/Massive-compatible market on one port: REST, stream and flat files, over a synthetic market or recorded bars."""
