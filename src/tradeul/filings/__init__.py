"""Filings at the SEC and news: collected, kept, told over the bus, and answered by HTTP."""
