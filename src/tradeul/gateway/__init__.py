"""The lists to every browser: one encoded message, the same bytes to all who watch."""
