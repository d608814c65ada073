"""What keeps a process running well: logs, locks, child processes, the watchdog of the event loop."""
