"""Work that kills the worker which carries it out, once."""

import os
import signal
from functools import partial


def dies_once(told, work):
    """Done, and killed before the answer is out. ``told``: a file that says who died."""
    answer = work()
    if not told.exists():
        told.write_text(str(os.getpid()))
        os.kill(os.getpid(), signal.SIGKILL)
    return answer


class Deadly:
    """An engine whose ``number``-th work kills its worker."""

    def __init__(self, engine, told, number):
        self._engine, self._told, self._left = engine, told, number

    @property
    def ahead(self):
        return self._engine.ahead

    def compute(self, work):
        self._left -= 1
        return self._engine.compute(partial(dies_once, self._told, work) if self._left == 0 else work)
