"""Port 8000: the page, and what it asks by HTTP."""
