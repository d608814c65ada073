"""Port 8004: history as the lake has it."""
