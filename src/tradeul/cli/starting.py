"""A counter while libraries load and children start, so that nobody wonders whether anything happens. Off a terminal: one line."""

import sys
from collections.abc import Callable

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


def count_up(text: str) -> Callable[[], None]:
    """Begin; the returned function ends it and may be called twice."""
    if not sys.stderr.isatty():
        print(f"{text} ...", file=sys.stderr, flush=True)  # noqa: T201
        return lambda: None
    counter = Progress(SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=Console(stderr=True), transient=True)
    counter.add_task(text, total=None)
    counter.start()  # it draws in a thread of its own
    return counter.stop
