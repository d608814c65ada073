"""EDGAR, the SEC's register of filings."""
