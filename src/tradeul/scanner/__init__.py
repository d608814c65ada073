"""The scanner: ranked lists over the whole market, each cycle, and what changed on them."""
