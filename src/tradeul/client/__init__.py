"""The Python client of docs/protocol.md."""
